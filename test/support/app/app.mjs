// The tests' and benchmarks' own web app, which runs in a container (see app-image.mjs). It does what it is told by its
// environment and by requests, and prints every thing it does as one line.
import { createServer } from 'node:http'
import { answer } from './answers.mjs'
import { acceptWebSocket } from './web-socket.mjs'

const number = (name, fallback) => Number(process.env[name] ?? fallback)
const say = (line) => process.stdout.write(`${line}\n`)

const state = {
  name: process.env.HOSTNAME ?? '',
  healthStatus: number('HEALTH', 200),
  stopping: false,
  webSockets: 0,
  requests: 0,
  /** Milliseconds since the epoch at which its port began to accept connections. */
  listeningAt: 0,
  /** How often each `x-id` came, for "delivered once". */
  seen: new Map(),
  exit: end,
}

function end(code, why) {
  say(`exit ${code}: ${why}`)
  process.exit(code)
}

const server = createServer((request, response) => {
  began(request)
  response.on('close', ended)
  if (state.stopping) response.setHeader('x-stopping', '1')
  answer(request, response, state)
})
server.on('upgrade', (request, socket) => {
  began(request)
  socket.on('close', ended)
  acceptWebSocket(request, socket, state)
})
// Big uploads may take longer than Node.js' default of five minutes allows; proxies keep connections for their own time.
server.requestTimeout = 0
server.keepAliveTimeout = number('KEEP_ALIVE_MS', 60_000)

let underWay = 0
let idleTimer
function began({ method, url, headers }) {
  underWay++
  state.requests++
  clearTimeout(idleTimer)
  const id = headers['x-id']
  if (id) state.seen.set(id, (state.seen.get(id) ?? 0) + 1)
  say(`${state.stopping ? 'late ' : ''}${method} ${url}`)
}
function ended() {
  underWay--
  startIdleClock()
}
function startIdleClock() {
  const idleMs = number('IDLE_EXIT_MS', 0)
  if (idleMs > 0 && underWay === 0) idleTimer = setTimeout(() => end(0, 'idle'), idleMs)
}

function stop() {
  if (state.stopping) return
  state.stopping = true
  const stopMs = number('STOP_MS', 0)
  say(`TERM: ending in ${stopMs} ms`)
  setTimeout(() => end(0, 'TERM'), server.listening ? stopMs : 0)
}
if (process.env.IGNORE_TERM !== '1') for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, stop)
else process.on('SIGTERM', () => say('TERM: ignored'))

function listen() {
  if (process.env.EXIT) end(Number(process.env.EXIT), 'EXIT is set')
  server.listen(number('PORT', 80), process.env.ADDRESS, () => {
    state.listeningAt = performance.timeOrigin + performance.now()
    say(`listening after ${Math.round(performance.now())} ms`)
    startIdleClock()
  })
}
const startMs = number('START_MS', 0)
if (startMs > 0) setTimeout(listen, startMs)
else listen()
