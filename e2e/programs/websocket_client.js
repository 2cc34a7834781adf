// Talks to an echo server with the library ws, and prints everything that came back: URL.
"use strict";
const { createHash } = require("crypto");
const { Agent } = require("http");
const { once } = require("events");
const { WebSocket } = require("ws");

// What Firefox sends: a list, where others send the one word.
class Firefox extends Agent {
  addRequest(request, ...rest) {
    request.setHeader("Connection", "keep-alive, Upgrade");
    super.addRequest(request, ...rest);
  }
}

const SIZES = [0, 1, 125, 126, 65535, 65536, 3000000];

async function echo(socket, send) {
  const answered = once(socket, "message");
  send();
  const [data, isBinary] = await answered;
  console.log(isBinary, data.length, createHash("sha256").update(data).digest("hex"));
}

async function first(url) {
  const socket = new WebSocket(url + "/first", "echo", { headers: { "X-Custom": "1" } });
  socket.on("upgrade", (answer) => {
    console.log(answer.rawHeaders.map((text, at) => text + (at % 2 ? "\r\n" : ": ")).join(""));
  });
  await once(socket, "open");
  for (const size of SIZES) await echo(socket, () => socket.send(Buffer.alloc(size, size % 251)));
  await echo(socket, () => socket.send("Grüße"));
  await echo(socket, () => {
    socket.send("in ", { fin: false });
    socket.send("three ", { fin: false });
    socket.send("fragments", { fin: true });
  });
  await echo(socket, () => socket.send("ping"));
  const ponged = once(socket, "pong");
  socket.ping("from the client");
  console.log("pong", (await ponged)[0].toString());
  socket.close(4001, "enough");
  const [code, reason] = await once(socket, "close");
  console.log("closed", code, reason.toString());
}

async function second(url) {
  const socket = new WebSocket(url + "/second", "echo", { agent: new Firefox() });
  await once(socket, "open");
  socket.send("close 4002");
  const [code, reason] = await once(socket, "close");
  console.log("closed", code, reason.toString());
}

first(process.argv[2]).then(() => second(process.argv[2]));
