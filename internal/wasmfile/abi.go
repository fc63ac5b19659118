package wasmfile

import (
	"strconv"
	"strings"
)

// abiVersion is the export by which a proxy knows the ABI that the plugin
// speaks.
const abiVersion = "proxy_abi_version_0_2_1"

// offered is what Envoy 1.33 and later offer to a plugin of [abiVersion]:
// functions by module and name, and their types.
var offered = map[string]string{}

// called are the functions that hosts call.
var called []Function

func init() {
	for name, t := range map[string]string{
		"proxy_add_header_map_value":         "5i",
		"proxy_call_foreign_function":        "6i",
		"proxy_close_stream":                 "1i",
		"proxy_continue_stream":              "1i",
		"proxy_define_metric":                "4i",
		"proxy_dequeue_shared_queue":         "3i",
		"proxy_done":                         "0i",
		"proxy_enqueue_shared_queue":         "3i",
		"proxy_get_buffer_bytes":             "5i",
		"proxy_get_buffer_status":            "3i",
		"proxy_get_current_time_nanoseconds": "1i",
		"proxy_get_header_map_pairs":         "3i",
		"proxy_get_header_map_size":          "2i",
		"proxy_get_header_map_value":         "5i",
		"proxy_get_log_level":                "1i",
		"proxy_get_metric":                   "2i",
		"proxy_get_property":                 "4i",
		"proxy_get_shared_data":              "5i",
		"proxy_get_status":                   "3i",
		"proxy_grpc_call":                    "12i",
		"proxy_grpc_cancel":                  "1i",
		"proxy_grpc_close":                   "1i",
		"proxy_grpc_send":                    "4i",
		"proxy_grpc_stream":                  "9i",
		"proxy_http_call":                    "10i",
		"proxy_log":                          "3i",
		"proxy_register_shared_queue":        "3i",
		"proxy_remove_header_map_value":      "3i",
		"proxy_replace_header_map_value":     "5i",
		"proxy_resolve_shared_queue":         "5i",
		"proxy_send_local_response":          "8i",
		"proxy_set_buffer_bytes":             "5i",
		"proxy_set_effective_context":        "1i",
		"proxy_set_header_map_pairs":         "3i",
		"proxy_set_property":                 "4i",
		"proxy_set_shared_data":              "5i",
		"proxy_set_tick_period_milliseconds": "1i",
	} {
		offered["env."+name] = functionType(t)
	}
	offered["env.proxy_increment_metric"] = "(i32 i64) i32"
	offered["env.proxy_record_metric"] = "(i32 i64) i32"

	for name, t := range map[string]string{
		"args_get":            "2i",
		"args_sizes_get":      "2i",
		"environ_get":         "2i",
		"environ_sizes_get":   "2i",
		"fd_close":            "1i",
		"fd_fdstat_get":       "2i",
		"fd_fdstat_set_flags": "2i",
		"fd_prestat_dir_name": "3i",
		"fd_prestat_get":      "2i",
		"fd_read":             "4i",
		"fd_write":            "4i",
		"poll_oneoff":         "4i",
		"proc_exit":           "1",
		"random_get":          "2i",
		"sched_yield":         "0i",
	} {
		offered["wasi_snapshot_preview1."+name] = functionType(t)
	}
	offered["wasi_snapshot_preview1.clock_time_get"] = "(i32 i64 i32) i32"
	offered["wasi_snapshot_preview1.fd_seek"] = "(i32 i64 i32 i32) i32"
	offered["wasi_snapshot_preview1.path_open"] = "(i32 i32 i32 i32 i32 i64 i64 i32 i32) i32"

	for _, f := range []Function{
		{abiVersion, "0"},
		{"_initialize", "0"},
		{"proxy_on_memory_allocate", "1i"},
		{"proxy_on_context_create", "2"},
		{"proxy_on_vm_start", "2i"},
		{"proxy_on_configure", "2i"},
		{"proxy_on_tick", "1"},
		{"proxy_on_queue_ready", "2"},
		{"proxy_on_done", "1i"},
		{"proxy_on_log", "1"},
		{"proxy_on_delete", "1"},
		{"proxy_on_request_headers", "3i"},
		{"proxy_on_request_body", "3i"},
		{"proxy_on_request_trailers", "2i"},
		{"proxy_on_request_metadata", "2i"},
		{"proxy_on_response_headers", "3i"},
		{"proxy_on_response_body", "3i"},
		{"proxy_on_response_trailers", "2i"},
		{"proxy_on_response_metadata", "2i"},
		{"proxy_on_new_connection", "1i"},
		{"proxy_on_downstream_data", "3i"},
		{"proxy_on_downstream_connection_close", "2"},
		{"proxy_on_upstream_data", "3i"},
		{"proxy_on_upstream_connection_close", "2"},
		{"proxy_on_http_call_response", "5"},
		{"proxy_on_grpc_receive_initial_metadata", "3"},
		{"proxy_on_grpc_receive", "3"},
		{"proxy_on_grpc_receive_trailing_metadata", "3"},
		{"proxy_on_grpc_close", "3"},
		{"proxy_on_foreign_function", "3"},
	} {
		called = append(called, Function{f.Name, functionType(f.Type)})
	}
}

// functionType writes a [Function]'s type from a number of i32 parameters,
// followed by "i" if it returns an i32.
func functionType(short string) string {
	digits, returns := strings.CutSuffix(short, "i")
	n, err := strconv.Atoi(digits)
	if err != nil {
		panic(err)
	}
	t := "(" + strings.TrimSuffix(strings.Repeat("i32 ", n), " ") + ")"
	if returns {
		t += " i32"
	}
	return t
}
