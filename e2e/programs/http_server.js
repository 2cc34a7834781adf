// An HTTP server of Node's with a path for everything its `http` can send; writes a record of each request: PORT UPGRADES.
// With UPGRADES it takes `Upgrade` and CONNECT; without, Node answers the request as any other.
"use strict";
const { createHash } = require("crypto");
const http = require("http");

const [port, upgrades] = process.argv.slice(2);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function headOf(request) {
  const raw = request.rawHeaders.map((text, at) => text + (at % 2 ? "\r\n" : ": "));
  return `${request.method} ${request.url} HTTP/${request.httpVersion}\r\n${raw.join("")}\r\n`;
}

function log(request, rest) {
  const record = { from: request.socket.remoteAddress, head: headOf(request), ...rest };
  console.log(JSON.stringify(record));
}

const answers = {
  "/echo": (request, response, body) => response.end(body),
  "/text": (request, response) => {
    const text = "a text\n";
    response.writeHead(200, "Fine", { "Content-Length": text.length, "x-LOWER": "1" });
    response.end(request.method === "HEAD" ? "" : text);
  },
  "/chunked": async (request, response) => {
    for (const piece of ["one ", "two ", "three\n"]) {
      response.write(piece);
      await pause(20);
    }
    response.end();
  },
  "/nothing": (request, response) => response.writeHead(204).end(),
  "/close": (request, response) => response.setHeader("Connection", "close").end("bye\n"),
  "/cookies": (request, response) => response.setHeader("Set-Cookie", ["a=1", "b=2"]).end(),
  "/trailers": (request, response) => {
    response.setHeader("Trailer", "X-Sum");
    response.write("body\n");
    response.addTrailers({ "X-Sum": "abc" });
    response.end();
  },
  "/hints": (request, response) => {
    response.writeProcessing();
    response.writeEarlyHints({ link: "</a.css>; rel=preload" });
    response.end("hinted\n");
  },
  "/cut": (request, response) => {
    response.writeHead(200, { "Content-Length": 100 });
    response.write("half", () => response.destroy());
  },
  "/unanswered": (request) => request.socket.destroy(),
};

// Node serves pipelined requests at once, and which of them is read to its end first depends on their segments: each
// record waits for the one of the request before it.
const lastRecord = new WeakMap();

async function serve(request, response) {
  const before = lastRecord.get(request.socket);
  let recorded;
  lastRecord.set(request.socket, new Promise((resolve) => (recorded = resolve)));
  const sum = createHash("sha256");
  const pieces = [];
  let size = 0;
  for await (const piece of request) {
    sum.update(piece);
    size += piece.length;
    if (request.url === "/echo") pieces.push(piece);
  }
  const digest = sum.digest("hex");
  await before;
  log(request, { size, digest, trailers: request.rawTrailers });
  recorded();
  if (request.url === "/sum") response.end(digest + "\n");
  else if (request.url in answers) await answers[request.url](request, response, Buffer.concat(pieces));
  else response.writeHead(404).end("not here\n");
}

const server = http.createServer(serve);
server.on("checkContinue", (request, response) => {
  if (request.url === "/refused") {
    log(request, { refused: true });
    response.writeHead(417, { Connection: "close" }).end("no\n");
  } else {
    response.writeContinue();
    serve(request, response);
  }
});

function shout(status) {
  return (request, socket, head) => {
    log(request, { status });
    socket.write(`HTTP/1.1 ${status}\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n`);
    if (head.length) socket.write(head.toString().toUpperCase());
    socket.on("data", (data) => socket.write(data.toString().toUpperCase()));
    socket.on("end", () => socket.end());
  };
}

if (upgrades) {
  server.on("upgrade", shout("101 Switching Protocols"));
  server.on("connect", shout("200 Connection Established"));
}
server.listen(Number(port), "0.0.0.0");
