"""Makes every kind of gRPC call on one connection, and prints what came back: TARGET."""

import hashlib
import sys

import grpc

SERVICE = "/test.Test/"


def main(target: str) -> None:
    options = (("grpc.max_receive_message_length", -1),)
    with grpc.insecure_channel(target, options=options) as channel:
        for size in (0, 1, 100, 70_000, 6_000_000):
            answer, call = channel.unary_unary(SERVICE + "Unary").with_call(b"a" * size + b"end")
            print(len(answer), hashlib.sha256(answer).hexdigest(), call.trailing_metadata())
        print(list(channel.unary_stream(SERVICE + "ManyAnswers")(b"200")))
        print(channel.stream_unary(SERVICE + "ManyRequests")(iter([b"1" * n for n in range(500)])))
        print(list(channel.stream_stream(SERVICE + "Conversation")(iter([b"a", b"b", b"c"]))))
        for method, seconds in (("Failure", 10), ("Silence", 0.2), ("Nothing", 10)):
            try:
                channel.unary_unary(SERVICE + method)(b"", timeout=seconds)
            except grpc.RpcError as error:
                print(error.code(), error.details(), error.trailing_metadata())


if __name__ == "__main__":
    main(sys.argv[1])
