// The peer in JavaScript: Bun's publish, as its documentation shows. It prints its port, then takes
// the orders of baseline.c: fan ROUNDS PERIOD_US BURST.
const TEXT = JSON.stringify({ chunk: "x".repeat(194) });

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response("", { status: 404 });
  },
  websocket: {
    perMessageDeflate: false,
    open(socket) {
      socket.subscribe("all");
    },
    message() {},
  },
});
console.log(JSON.stringify({ port: server.port }));

for await (const line of console) {
  const [rounds, periodUs, burst] = line.split(" ").slice(1).map(Number);
  let due = performance.now();
  let deliveries = 0;
  for (let round = 0; round < rounds; round++) {
    due += periodUs / 1000;
    await Bun.sleep(Math.max(0, due - performance.now()));
    for (let frame = 0; frame < burst; frame++) {
      server.publish("all", TEXT);
      deliveries += server.subscriberCount("all");
    }
  }
  console.log(JSON.stringify({ deliveries }));
}
process.exit(0);
