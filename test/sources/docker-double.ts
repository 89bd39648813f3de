import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { tempDir } from '../support/temp.js'

/** An engine that misbehaves as real ones cannot be made to: each answer is the test's own. */
export interface EngineDouble {
  readonly host: string
  /** What it answers with; by default an empty engine that has no events. */
  answers: Answers
  /** Writes to every open stream of events. */
  emit(text: string): void
  endStreams(): void
  /** Paths that were asked for. */
  readonly requests: string[]
  close(): Promise<void>
}

export interface Answers {
  list: (response: ServerResponse) => void
  inspect: (response: ServerResponse, id: string) => void
  events: (response: ServerResponse) => void
  info: (response: ServerResponse) => void
}

export async function startEngineDouble(): Promise<EngineDouble> {
  const path = join(tempDir('he-'), 'e.sock')
  const streams = new Set<ServerResponse>()
  const requests: string[] = []
  const answers: Answers = {
    list: (response) => void response.end('[]'),
    inspect: (response) => void response.writeHead(404).end('{"message":"no such container"}'),
    events: (response) => {
      streams.add(response)
      response.flushHeaders()
    },
    info: (response) => void response.end('{}'),
  }
  const double = { answers }
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const [target = ''] = (request.url ?? '').split('?')
    requests.push(target)
    const id = /^\/containers\/([^/]+)\/json$/.exec(target)?.[1]
    if (target === '/containers/json') double.answers.list(response)
    else if (id) double.answers.inspect(response, id)
    else if (target === '/events') double.answers.events(response)
    else double.answers.info(response)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return Object.assign(double, {
    host: `unix://${path}`,
    requests,
    emit: (text: string) => {
      for (const stream of streams) stream.write(text)
    },
    endStreams: () => {
      for (const stream of streams) stream.destroy()
      streams.clear()
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

/** An id as engines make them, told apart by its first character. */
export const idOf = (letter: string) => letter.repeat(64)

/** An entry of `/containers/json` that is complete. */
export const entry = (letter: string, more: object = {}) => ({
  Id: idOf(letter),
  Names: [`/${letter}`],
  Created: 1_700_000_000,
  State: 'running',
  Status: 'Up 3 seconds',
  Labels: { 'hostler.port': '80' },
  Ports: [{ PrivatePort: 80, Type: 'tcp' }],
  HostConfig: { NetworkMode: 'apps' },
  NetworkSettings: { Networks: { apps: { IPAddress: '10.0.0.2', Gateway: '10.0.0.1' } } },
  ...more,
})

/** The answer of `/containers/ID/json` for the same. */
export const inspected = (letter: string, status = 'running') => ({
  Id: idOf(letter),
  Name: `/${letter}`,
  Created: '2023-11-14T22:13:20.5Z',
  State: { Status: status },
  Config: { Labels: { 'hostler.port': '80' }, ExposedPorts: { '80/tcp': {} } },
  HostConfig: { NetworkMode: 'apps' },
  NetworkSettings: {
    Ports: {},
    Networks: { apps: { IPAddress: status === 'running' ? '10.0.0.2' : '', Gateway: '10.0.0.1' } },
  },
})

export const containerEvent = (letter: string, action: string, attributes: object = {}) =>
  `${JSON.stringify({
    Type: 'container',
    Action: action,
    Actor: { ID: idOf(letter), Attributes: { 'hostler.port': '80', ...attributes } },
  })}\n`
