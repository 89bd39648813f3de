import { createHash } from 'node:crypto'
import { pipeline } from 'node:stream/promises'

/** Answers one request; see PATHS in app-image.mjs for what there is. */
export function answer(request, response, state) {
  const url = new URL(request.url, 'http://app')
  const [, first = '', second = ''] = url.pathname.split('/')
  const handle = Object.hasOwn(HANDLERS, first) ? HANDLERS[first] : hello
  const number = (name, fallback) => Number(url.searchParams.get(name) ?? fallback)
  Promise.resolve(handle({ request, response, state, number, second })).catch(() => response.destroy())
}

function hello({ response, state }) {
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(`<!doctype html><title>app</title><h1>hello from ${state.name}</h1>\n`)
}

const HANDLERS = {
  async echo({ request, response, state }) {
    const hash = createHash('sha256')
    let bodyBytes = 0
    for await (const chunk of request) {
      hash.update(chunk)
      bodyBytes += chunk.length
    }
    const { method, url, rawHeaders, headers, httpVersion } = request
    const body = { bodyBytes, sha256: hash.digest('hex') }
    json(response, { name: state.name, method, url, httpVersion, headers, rawHeaders, ...body })
  },
  body({ request, response }) {
    response.setHeader('content-type', request.headers['content-type'] ?? 'application/octet-stream')
    return pipeline(request, response)
  },
  async chunks({ response, number }) {
    const piece = 'x'.repeat(number('size', 1000))
    for (let index = 0; index < number('n', 10); index++) await write(response, piece, number('ms', 0))
    response.end()
  },
  async events({ response, number }) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.flushHeaders()
    for (let index = 0; index < number('n', Number.POSITIVE_INFINITY) && !response.closed; index++) {
      await write(response, `id: ${index}\ndata: tick\n\n`, number('ms', 1000))
    }
    response.end()
  },
  async download({ response, number }) {
    const bytes = number('bytes', 1 << 20)
    response.setHeader('content-length', bytes)
    response.setHeader('content-type', 'application/octet-stream')
    const piece = Buffer.alloc(number('size', 64 << 10), 'hostler ')
    for (let left = bytes; left > 0 && !response.closed; left -= piece.length) {
      await write(response, piece.subarray(0, Math.min(left, piece.length)), number('ms', 0))
    }
    response.end()
  },
  slow({ response, state, number }) {
    setTimeout(() => response.end(`slow from ${state.name}\n`), number('ms', 1000))
  },
  status({ response, second }) {
    response.writeHead(Number(second) || 200).end(`${second}\n`)
  },
  health({ request, response, state, number }) {
    if (request.method === 'POST') state.healthStatus = number('status', 200)
    response.writeHead(request.method === 'POST' ? 200 : state.healthStatus).end(`${state.healthStatus}\n`)
  },
  seen({ response, state, second }) {
    if (second) json(response, { count: state.seen.get(second) ?? 0 })
    else json(response, { requests: state.requests, webSockets: state.webSockets, stopping: state.stopping })
  },
  listening({ response, state }) {
    response.end(`${state.listeningAt}\n`)
  },
  exit({ response, state, number }) {
    response.end('exiting\n', () => state.exit(number('code', 1), 'asked to'))
  },
  drop({ request }) {
    request.socket.destroy()
  },
}

const json = (response, value) => {
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify(value)}\n`)
}

/** Waits until there is room again, then for the pause. */
async function write(response, piece, pauseMs) {
  if (response.closed) return
  if (!response.write(piece)) {
    await new Promise((resolve) => {
      const go = () => resolve(void response.off('drain', go).off('close', go))
      response.on('drain', go).on('close', go)
    })
  }
  if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
}
