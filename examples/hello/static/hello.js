const show = (id, text) => { document.getElementById(id).textContent = text; };

fetch("/").then((answer) => answer.json()).then((body) => show("json", JSON.stringify(body)));

const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws`);
socket.onopen = () => socket.send("echo, please");
socket.onmessage = (event) => { show("websocket", event.data); socket.close(); };

const events = new EventSource("/events");
events.onmessage = (event) => show("events", event.data);
