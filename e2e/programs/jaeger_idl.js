// Reads Batches in Thrift's binary protocol by Jaeger's own jaeger.thrift, as the npm package jaeger-client brings it, with thriftrw.
// Argument: where npm's modules are. A line of hex in, a line of JSON out; numbers of 64 bits as hex.
"use strict";
const path = require("path");
const readline = require("readline");

const modules = process.argv[2];
const { Thrift } = require(path.join(modules, "thriftrw"));
const thrift = new Thrift({
  entryPoint: path.join(modules, "jaeger-client/dist/src/jaeger-idl/thrift/jaeger.thrift"),
  allowFilesystemAccess: true,
  strict: true,
});

function shown(_key, value) {
  if (value && value.type === "Buffer") return Buffer.from(value.data).toString("hex");
  return value === null ? undefined : value;
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const bytes = Buffer.from(line, "hex");
  const { err, offset, value } = thrift.Batch.rw.readFrom(bytes, 0);
  if (err) throw err;
  if (offset !== bytes.length) throw new Error("there is more than a batch");
  console.log(JSON.stringify(value, shown));
});
