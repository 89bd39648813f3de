import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { tempDir } from '../support/temp.js'

/** An engine that misbehaves as real ones cannot be made to: what it answers is the test's own. */
export interface EngineDouble {
  readonly host: string
  /** `POST /containers/abc/start`, with the path's last word as engines have it. */
  readonly requests: string[]
  /** Answers by the beginning of `METHOD PATH`; the longest that fits is taken, and 404 where none does. */
  on(beginning: string, answer: Answer): void
  close(): Promise<void>
}

export type Answer = (response: ServerResponse, request: IncomingMessage) => void

export async function startEngineDouble(): Promise<EngineDouble> {
  const path = join(tempDir('he-'), 'e.sock')
  const requests: string[] = []
  const answers = new Map<string, Answer>()
  const server = createServer((request, response) => {
    const line = `${request.method} ${request.url?.split('?')[0]}`
    requests.push(line)
    const fitting = [...answers.keys()].filter((beginning) => line.startsWith(beginning))
    const [best = ''] = fitting.sort((a, b) => b.length - a.length)
    const answer = answers.get(best) ?? error(404, `No such thing: ${line}`)
    answer(response, request)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    ...{ host: `unix://${path}`, requests },
    on: (beginning, answer) => void answers.set(beginning, answer),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const json =
  (value: unknown, status = 200): Answer =>
  (response) =>
    void response.writeHead(status).end(JSON.stringify(value))

export const text =
  (body: string, status = 200): Answer =>
  (response) =>
    void response.writeHead(status).end(body)

export const error = (status: number, message: string): Answer => json({ message }, status)

export const hang: Answer = () => undefined

export const cut: Answer = (response) => void response.destroy()

/** The beginning of an answer, and then the connection is lost. */
export const half =
  (whole: string): Answer =>
  (response) => {
    response.writeHead(200, { 'content-length': whole.length })
    response.write(whole.slice(0, whole.length / 2), () => response.destroy())
  }

/** An answer without an end. */
export const endless =
  (piece: string): Answer =>
  (response) => {
    response.writeHead(200)
    const more = () => {
      while (!response.destroyed && response.write(piece));
    }
    response.on('drain', more)
    more()
  }
