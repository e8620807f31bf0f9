// A phone of JsSIP under Node. Arguments: URL of the WebSocket, user, password, origin.
// Reads commands, one JSON array a line: ["message", "bob", "text"], ["options", "bob"], ["call", "10003"],
// ["bye"], ["unregister"], ["ping"], ["leave"]. Writes what happens, one JSON object a line.
"use strict";

const fs = require("fs");
const readline = require("readline");
const WebSocket = require("ws");
const JsSIP = require("jssip");

const [url, user, password, origin] = process.argv.slice(2);
const tell = (event, more) => process.stdout.write(JSON.stringify({ event, ...more }) + "\n");

// What JsSIP wants of a socket, on the WebSocket of Node.
class Socket {
  constructor() {
    this.url = url;
    this.via_transport = url.startsWith("wss") ? "WSS" : "WS";
    this.sip_uri = "sip:ims.example;transport=ws";
    this.socket = null;
  }

  connect() {
    this.socket = new WebSocket(url, "sip", { origin, ca: process.env.CA_FILE && fs.readFileSync(process.env.CA_FILE) });
    this.socket.on("open", () => this.onconnect());
    this.socket.on("close", (code) => {
      tell("closed", { code });
      this.ondisconnect(code !== 1000, code, "");
    });
    this.socket.on("error", (error) => tell("error", { message: error.message }));
    this.socket.on("pong", (data) => tell("pong", { data: data.toString() }));
    this.socket.on("message", (data) => {
      const text = data.toString();
      tell("wire", { start: text.split("\r\n", 1)[0] });
      this.ondata(text);
    });
  }

  disconnect() {
    this.socket.close();
  }

  isConnected() {
    return this.socket !== null && this.socket.readyState === WebSocket.OPEN;
  }

  isConnecting() {
    return this.socket !== null && this.socket.readyState === WebSocket.CONNECTING;
  }

  send(data) {
    this.socket.send(data);
    return true;
  }
}

// Enough of WebRTC for the signalling of a call: its media go nowhere.
class PeerConnection {
  constructor() {
    this.signalingState = "stable";
    this.connectionState = this.iceConnectionState = "new";
    this.iceGatheringState = "complete";
    this.localDescription = this.remoteDescription = null;
  }

  async createOffer() {
    const lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", "m=audio 9 RTP/AVP 0"];
    return { type: "offer", sdp: lines.join("\r\n") + "\r\n" };
  }

  async setLocalDescription(description) {
    this.localDescription = description;
  }

  async setRemoteDescription(description) {
    this.remoteDescription = description;
  }

  addEventListener() {}
  removeEventListener() {}
  getSenders() {
    return [];
  }
  getReceivers() {
    return [];
  }
  getTransceivers() {
    return [];
  }
  close() {
    this.signalingState = "closed";
  }
}

globalThis.window = globalThis;
globalThis.RTCPeerConnection = PeerConnection;
globalThis.RTCSessionDescription = class {
  constructor(description) {
    Object.assign(this, description);
  }
};

const socket = new Socket();
const ua = new JsSIP.UA({
  sockets: [socket],
  uri: `sip:${user}@ims.example`,
  password,
  register_expires: 120,
  session_timers: false,
  connection_recovery_min_interval: 60,
});
for (const event of ["connected", "registered", "unregistered"]) ua.on(event, () => tell(event));
ua.on("registrationFailed", ({ cause }) => tell("registrationFailed", { cause }));
ua.on("newMessage", ({ originator, message, request }) => {
  if (originator === "remote") tell("message", { text: request.body, from: request.from.uri.user });
});
ua.on("newOptions", ({ originator }) => originator === "remote" && tell("options"));

const told = (what) => ({
  eventHandlers: {
    succeeded: () => tell(`${what} succeeded`),
    failed: ({ cause, response }) => tell(`${what} failed`, { cause, status: response && response.status_code }),
  },
});
let call = null;
const commands = {
  message: (whom, text) => ua.sendMessage(`sip:${whom}@ims.example`, text, told("message")),
  options: (whom) => ua.sendOptions(`sip:${whom}@ims.example`, null, told("options")),
  call: (number) => {
    call = ua.call(`sip:${number}@ims.example`, {
      mediaConstraints: { audio: false, video: false },
      eventHandlers: {
        confirmed: () => tell("confirmed"),
        ended: ({ originator }) => tell("ended", { originator }),
        failed: ({ cause }) => tell("call failed", { cause }),
      },
    });
  },
  bye: () => call.terminate(),
  unregister: () => ua.unregister(),
  ping: () => socket.socket.ping("are you there"),
  crlf: () => socket.socket.send("\r\n\r\n"),
  leave: () => socket.socket.terminate(),
};
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [name, ...args] = JSON.parse(line);
  commands[name](...args);
});
ua.start();
