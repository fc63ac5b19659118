package scenario

func Fields() []Case  { return nil }
func Answers() []Case { return nil }
