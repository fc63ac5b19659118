package scenario

func Fields() []Case { return nil }
