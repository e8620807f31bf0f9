// What the pages share: a way to the test, a microphone, and an ear.
"use strict";

const socket = new WebSocket(location.href.replace("http", "ws"));
const tell = (message) => socket.send(JSON.stringify(message));
const context = new AudioContext();
const analyser = new AnalyserNode(context, { fftSize: 32768, smoothingTimeConstant: 0 });

// Have the test's messages taken, and tell it when there is a microphone.
const begin = (take) => {
  socket.onmessage = ({ data }) => {
    Promise.resolve(take(JSON.parse(data))).catch((error) => tell({ failed: String(error) }));
  };
  return new Promise((resolve) => {
    socket.onopen = async () => {
      try {
        const own = await navigator.mediaDevices.getUserMedia({
          audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
        });
        await context.resume();
        await resolve(own);
        tell({ ready: true });
      } catch (error) {
        tell({ failed: String(error) });
      }
    };
  });
};

const listen = ({ streams, track }) => {
  const stream = streams[0] || new MediaStream([track]);
  const element = new Audio(); // Chromium decodes for an element only
  element.srcObject = stream;
  element.play();
  context.createMediaStreamSource(stream).connect(analyser);
};

// The strongest frequency of the last 0.7 s, and its level in dB.
const measure = () => {
  const spectrum = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(spectrum);
  const strongest = spectrum.reduce((best, level, bin) => (level > spectrum[best] ? bin : best), 0);
  tell({ hertz: (strongest * context.sampleRate) / analyser.fftSize, level: spectrum[strongest] });
};
