// Echoes WebSocket messages with the library ws; writes a record of each connection when it has ended.
// A text `ping` has it ping first and answer what came back; a text `close N` has it close with that code.
"use strict";
const { createHash } = require("crypto");
const { WebSocketServer } = require("ws");

const PORT = 9002;

function answer(socket, data, isBinary) {
  const text = isBinary ? "" : data.toString();
  if (text === "ping") {
    socket.once("pong", () => socket.send("ponged"));
    socket.ping("from the server");
  } else if (text.startsWith("close ")) {
    socket.close(Number(text.split(" ")[1]), "as you wished");
  } else {
    socket.send(data, { binary: isBinary });
  }
}

const server = new WebSocketServer({ port: PORT, host: "0.0.0.0", perMessageDeflate: true });
server.on("connection", (socket, request) => {
  const raw = request.rawHeaders.map((text, at) => text + (at % 2 ? "\r\n" : ": "));
  const head = raw.join("") + "\r\n";
  const record = { path: request.url, from: request.socket.remoteAddress, head, received: [] };
  socket.on("message", (data, isBinary) => {
    record.received.push([isBinary, data.length, createHash("sha256").update(data).digest("hex")]);
    answer(socket, data, isBinary);
  });
  socket.on("close", (code, reason) => {
    record.closed = [code, reason.toString()];
    console.log(JSON.stringify(record));
  });
});
