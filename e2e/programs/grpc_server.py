"""Answers every kind of gRPC call: one or many messages each way, an error with trailers, silence until the deadline."""

import time
from concurrent import futures

import grpc

PORT = 9003


def unary(request, context):
    context.set_trailing_metadata((("x-sum", str(len(request))), ("x-raw-bin", b"\0\xff")))
    return request[::-1]


def many_answers(request, _context):
    for n in range(int(request)):
        yield b"answer %d" % n


def many_requests(requests, _context):
    return b",".join(b"%d" % len(request) for request in requests)


def conversation(requests, _context):
    for request in requests:
        yield request.upper()


def failure(_request, context):
    context.set_trailing_metadata((("x-reason", "by design"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today")


def silence(_request, _context):
    time.sleep(1)
    return b""


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ManyAnswers": grpc.unary_stream_rpc_method_handler(many_answers),
    "ManyRequests": grpc.stream_unary_rpc_method_handler(many_requests),
    "Conversation": grpc.stream_stream_rpc_method_handler(conversation),
    "Failure": grpc.unary_unary_rpc_method_handler(failure),
    "Silence": grpc.unary_unary_rpc_method_handler(silence),
}

if __name__ == "__main__":
    options = (("grpc.max_receive_message_length", -1),)
    server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", METHODS),))
    server.add_insecure_port(f"0.0.0.0:{PORT}")
    server.start()
    server.wait_for_termination()
