import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, request } from 'node:http'
import { Readable } from 'node:stream'
import { describe, expect, jest, test } from '@jest/globals'
import { call, echo, lineTo, type PublicPort, type Seen, seen, startApp, startPort } from '../../support/public-port.js'
import { until } from '../../support/wait.js'

// A hundred megabytes take long on a machine that does much else.
jest.setTimeout(120_000)

const MB = 1024 * 1024
const BLOCK = randomBytes(MB)

/** So many bytes, in pieces, without ever being in memory as a whole. */
function* bytes(total: number): Generator<Buffer> {
  for (let sent = 0; sent < total; sent += BLOCK.length) yield BLOCK.subarray(0, Math.min(BLOCK.length, total - sent))
}

function sha256(total: number): string {
  const hash = createHash('sha256')
  for (const piece of bytes(total)) hash.update(piece)
  return hash.digest('hex')
}

/** Sends a body of that size. */
function send(to: PublicPort, method: string, size: number, headers: Record<string, string>): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { port: to.port, host: '127.0.0.1', method, agent: false, headers: { host: 'shop.test', ...headers } },
      async (answer) => {
        let text = ''
        for await (const chunk of answer) text += chunk
        resolve(JSON.parse(text))
      },
    )
    asked.on('error', reject)
    Readable.from(bytes(size)).pipe(asked)
  })
}

describe('a body that waits for its app', () => {
  const sizes = [1, 1000, 65_535, 65_536, 65_537, MB, 100 * MB]

  test.each(sizes.flatMap((size) => [[size, 'PUT', 'with its length'] as const, [size, 'POST', 'in chunks'] as const]))(
    '%d bytes by %s, %s, arrive byte for byte and once',
    async (size, method, how) => {
      const seenByApp: string[] = []
      const port = await startApp((asked, response) => {
        seenByApp.push(`${asked.method}`)
        void echo(asked, response)
      })
      const to = await startPort({ shop: { port } })
      const headers: Record<string, string> =
        how === 'in chunks' ? { 'transfer-encoding': 'chunked' } : { 'content-length': `${size}` }
      const waiting = send(to, method, size, headers)
      await until('it is held', () => to.server.held() === 1)
      to.wakeUp('shop')
      expect(await waiting).toMatchObject({ bytes: size, sha256: sha256(size), headers })
      expect(seenByApp).toEqual([method])
    },
  )

  test('is left to the kernel: of a hundred large ones no more than one read each is in memory', async () => {
    const to = await startPort({ shop: { port: await startApp(echo) } })
    const before = process.memoryUsage().arrayBuffers
    const lines = Array.from({ length: 100 }, () => {
      const line = lineTo(to.port)
      line.say('POST /upload HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 104857600\r\n\r\n')
      // The same memory each time, so that what grows is the server's.
      const more = () => {
        while (line.socket.write(BLOCK));
      }
      line.socket.on('drain', more)
      more()
      return line
    })
    await until('all are held', () => to.server.held() === 100)
    const sent = () => lines.reduce((sum, { socket }) => sum + socket.bytesWritten - socket.writableLength, 0)
    let last = -1
    await until('nothing moves any longer', async () => {
      const now = sent()
      const isStill = now === last && lines.every(({ socket }) => socket.writableLength > 0)
      last = now
      await new Promise((resolve) => setTimeout(resolve, 100))
      return isStill
    })
    const grown = process.memoryUsage().arrayBuffers - before
    expect(grown / 100).toBeLessThan(160 * 1024)
  })

  test('is read as fast as the app reads, and no faster', async () => {
    let upload: IncomingMessage | undefined
    const port = await startApp((asked, response) => {
      upload = asked.pause()
      asked.on('end', () => response.end('all'))
    })
    const to = await startPort({ shop: { port, state: 'running' } })
    const before = process.memoryUsage().arrayBuffers
    const line = lineTo(to.port)
    line.say(`POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: ${200 * MB}\r\n\r\n`)
    let left = 200
    const more = () => {
      while (left > 0 && left-- > 0 && line.socket.write(BLOCK));
    }
    line.socket.on('drain', more)
    more()
    let last = -1
    await until('nothing moves any longer', async () => {
      const now = line.socket.bytesWritten - line.socket.writableLength
      const isStill = now === last && upload !== undefined
      last = now
      await new Promise((resolve) => setTimeout(resolve, 200))
      return isStill
    })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(24 * MB)
    upload?.resume()
    await line.hears(/\r\n\r\n.*all/s)
  })

  test('that was never there is not made up', async () => {
    const to = await startPort({ shop: { port: await startApp(echo), state: 'running' } })
    for (const method of ['POST', 'PUT', 'PATCH', 'PROPFIND']) {
      const line = lineTo(to.port)
      line.say(`${method} / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n`)
      const { headers, bytes } = seen({ body: (await line.ends()).split('\r\n\r\n')[1]!.replace(/^[^{]*|[^}]*$/g, '') })
      expect([method, headers['content-length'], headers['transfer-encoding'], bytes]).toEqual([
        method,
        '0',
        undefined,
        0,
      ])
    }
  })

  test('comes with headers that are bytes, whatever they spell', async () => {
    const to = await startPort({ shop: { port: await startApp(echo), state: 'running' } })
    for (const rest of ['\r\n', 'Content-Length: 1\r\n\r\nx']) {
      const line = lineTo(to.port)
      line.say(`POST / HTTP/1.1\r\nHost: shop.test\r\nX-Name: \xe9\xff\r\nConnection: close\r\n${rest}`)
      expect(await line.ends()).toMatch(/"x-name":"\xc3\xa9\xc3\xbf"/)
    }
  })

  test('of a GET arrives too', async () => {
    const to = await startPort({ shop: { port: await startApp(echo), state: 'running' } })
    const reply = await call({ to, host: 'shop.test', body: 'query', headers: { 'content-length': '5' } })
    expect(seen(reply)).toMatchObject({ method: 'GET', bytes: 5 })
  })
})

describe('Expect: 100-continue', () => {
  const ask =
    'POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n'

  test('is answered when the app says so, and not before there is one', async () => {
    const app = createServer()
    app.on('checkContinue', (asked, response) => {
      response.writeContinue()
      void echo(asked, response)
    })
    const to = await startPort({ shop: { port: await startApp(echo, app) } })
    const line = lineTo(to.port)
    line.say(ask)
    await until('it is held', () => to.server.held() === 1)
    expect(line.heard()).toBe('')
    to.wakeUp('shop')
    await line.hears(/^HTTP\/1\.1 100 Continue\r\n\r\n$/)
    line.say('abc')
    expect(await line.ends()).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*"bytes":3/)
  })

  test('may be refused by the app', async () => {
    const app = createServer()
    app.on('checkContinue', (_, response) => response.writeHead(413, { connection: 'close' }).end())
    const to = await startPort({ shop: { port: await startApp(echo, app), state: 'running' } })
    const line = lineTo(to.port)
    line.say(ask)
    await line.hears(/^HTTP\/1\.1 413 /)
  })
})

describe('trailers', () => {
  test('go both ways', async () => {
    const port = await startApp((asked, response) => {
      let body = ''
      asked.on('data', (chunk) => {
        body += chunk
      })
      asked.on('end', () => {
        response.writeHead(200, { trailer: 'X-Sum' })
        response.write(`${body} ${asked.headers.trailer} ${asked.rawTrailers}`)
        response.addTrailers({ 'X-Sum': '7' })
        response.end()
      })
    })
    const to = await startPort({ shop: { port, state: 'running' } })
    const line = lineTo(to.port)
    line.say('POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n')
    line.say('3\r\nabc\r\n0\r\nX-Check: 1\r\nHost: other\r\n\r\n')
    await line.hears(/\r\nTrailer: X-Sum\r\n[\s\S]*abc X-Check X-Check,1\r\n0\r\nX-Sum: 7\r\n\r\n$/i)
  })

  test('that are announced with a length are dropped, and do no harm', async () => {
    const port = await startApp((asked, response) => {
      asked.resume().on('end', () => {
        response.socket?.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTrailer: X-Sum\r\n\r\nok')
      })
    })
    const to = await startPort({ shop: { port, state: 'running' } })
    const line = lineTo(to.port)
    line.say(
      'POST / HTTP/1.1\r\nHost: shop.test\r\nTrailer: X-Check\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab',
    )
    expect(await line.ends()).toBe('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
  })
})

describe("an app's answer", () => {
  /** An app that answers with these bytes, whatever it is asked. */
  const raw = (text: string) =>
    startApp((asked, response) => {
      asked.resume()
      response.socket?.end(text, 'latin1')
    })

  const answered = async (text: string, ask = 'GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n') => {
    const to = await startPort({ shop: { port: await raw(text), state: 'running' } })
    const line = lineTo(to.port)
    line.say(ask)
    return line.ends()
  }

  test('keeps its words, and the order, case and repetition of its headers', async () => {
    const text =
      'HTTP/1.1 299 Odd Words\r\nX-Two: 2\r\nset-cookie: a=1\r\nX-ONE: \xe9\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok'
    expect(await answered(text)).toBe(text.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
  })

  test('leaves what concerns the connection behind', async () => {
    const text =
      'HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n'
    expect(await answered(text)).toBe('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
  })

  test.each([
    ['HEAD with a length', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n'],
    ['HEAD that would be chunked', 'HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n'],
    ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['304 with a length', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\nETag: "a"\r\n\r\n'],
  ])('has no body: %s', async (_, method, text) => {
    const reply = await answered(text, `${method} / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n`)
    expect(reply.split('\r\n\r\n')[1]).toBe('')
    expect(reply.split('\r\n')[0]).toBe(text.split('\r\n')[0])
    expect(/content-length: \d+/i.exec(reply)?.[0]).toBe(/content-length: \d+/i.exec(text)?.[0])
  })

  test('that ends with its connection is given in chunks', async () => {
    expect(await answered('HTTP/1.0 200 OK\r\n\r\nall of it')).toMatch(
      /\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n$/,
    )
  })

  test('to HTTP/1.0 ends with its connection', async () => {
    const text = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n'
    expect(await answered(text, 'GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 200 OK\r\nConnection: close\r\n\r\nabc$/,
    )
  })

  test('comes after what it says beforehand', async () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-H: 1\r\n\r\n'
    const reply = await answered(`${hints}HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`)
    expect(reply).toBe(
      `${hints}HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    )
  })

  test('of 100 MB arrives byte for byte', async () => {
    const port = await startApp((_, response) => Readable.from(bytes(100 * MB)).pipe(response))
    const to = await startPort({ shop: { port } })
    const hash = createHash('sha256')
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ port: to.port, host: '127.0.0.1', headers: { host: 'shop.test' }, agent: false }, resolve)
        .on('error', reject)
        .end()
      void until('it is held', () => to.server.held() === 1).then(() => to.wakeUp('shop'))
    })
    for await (const chunk of answer) hash.update(chunk)
    expect(hash.digest('hex')).toBe(sha256(100 * MB))
  })

  test('is read from the app as fast as the client reads, and no faster', async () => {
    let written = 0
    const port = await startApp((_, response) => {
      const more = () => {
        while (written < 200 * MB) {
          written += MB
          if (!response.write(BLOCK)) return
        }
      }
      response.on('drain', more)
      more()
    })
    const to = await startPort({ shop: { port, state: 'running' } })
    const line = lineTo(to.port)
    line.socket.pause()
    line.say('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n')
    const before = process.memoryUsage().arrayBuffers
    let last = -1
    await until('nothing moves any longer', async () => {
      const isStill = written === last && written > 0
      last = written
      await new Promise((resolve) => setTimeout(resolve, 200))
      return isStill
    })
    expect(written).toBeLessThan(100 * MB)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(24 * MB)
  })

  test('given before the body is read reaches a client that is still sending', async () => {
    const port = await startApp((_, response) => response.writeHead(413, { connection: 'close' }).end('too much'))
    const to = await startPort({ shop: { port, state: 'running' } })
    for (let round = 0; round < 20; round++) {
      const line = lineTo(to.port)
      line.say('POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 104857600\r\n\r\n')
      line.socket.write(BLOCK)
      line.socket.write(BLOCK)
      await line.hears(/^HTTP\/1\.1 413 [\s\S]*too much/)
      line.socket.destroy()
    }
  })
})

describe('an app that goes away', () => {
  test('in the middle of an answer breaks the answer off, so that nobody takes a part for the whole', async () => {
    for (const head of ['Content-Length: 100', 'Transfer-Encoding: chunked']) {
      const port = await startApp((_, response) => {
        response.socket?.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n5\r\nhello\r\n`)
        setImmediate(() => response.socket?.destroy())
      })
      const to = await startPort({ shop: { port, state: 'running' } })
      await expect(call({ to, host: 'shop.test' })).rejects.toMatchObject({ code: 'ECONNRESET' })
    }
  })

  test('without an answer is asked once for a POST, and again for a GET', async () => {
    const asked: string[] = []
    const port = await startApp((request) => {
      asked.push(`${request.method}`)
      request.socket.destroy()
    })
    const to = await startPort({ shop: { port, state: 'running' } })
    const post = await call({ to, host: 'shop.test', method: 'POST', body: 'x' })
    expect([post.status, JSON.parse(post.body).title, asked]).toEqual([502, 'Bad gateway', ['POST']])
    const get = await call({ to, host: 'shop.test' })
    expect([get.status, asked.length > 2]).toEqual([502, true])
  })

  test('and comes back is asked again for what nobody had begun to do', async () => {
    let calls = 0
    const port = await startApp((request, response) =>
      ++calls === 1 ? request.socket.destroy() : response.end('back'),
    )
    const to = await startPort({ shop: { port, state: 'running' } })
    expect((await call({ to, host: 'shop.test' })).body).toBe('back')
  })

  test('answers in no HTTP is a 502', async () => {
    for (const text of ['SSH-2.0-x\r\n', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n']) {
      const port = await startApp((_, response) => response.socket?.end(text))
      const to = await startPort({ shop: { port, state: 'running' } })
      expect((await call({ to, host: 'shop.test', method: 'POST' })).status).toBe(502)
    }
  })
})

describe('a client that goes away', () => {
  test('in the middle of its body ends the request to the app', async () => {
    const ended = new Promise((resolve) => {
      void startApp((request) => request.on('close', () => resolve(request.complete))).then(async (port) => {
        const to = await startPort({ shop: { port, state: 'running' } })
        const line = lineTo(to.port)
        line.say('POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100\r\n\r\nabc')
        await until('it is under way', () => to.server.sessions.ofGroup('shop') === 1)
        line.socket.destroy()
        await until('it has ended', () => to.server.sessions.ofGroup('shop') === 0)
      })
    })
    expect(await ended).toBe(false)
  })

  test('in the middle of an answer ends it at the app', async () => {
    let closed = false
    const port = await startApp((_, response) => {
      response.write('event: one\n\n')
      response.on('close', () => {
        closed = true
      })
    })
    const to = await startPort({ shop: { port, state: 'running' } })
    const line = lineTo(to.port)
    line.say('GET /events HTTP/1.1\r\nHost: shop.test\r\n\r\n')
    await line.hears(/event: one/)
    line.socket.destroy()
    await until('the app knows', () => closed)
  })
})
