import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from '@jest/globals'
import {
  type AnswerMap,
  type MetadataServer,
  metadataContainer,
  metadataTree,
  startMetadataServer,
} from './metadata-server.js'
import { until } from './wait.js'

const recorded = (name: string) =>
  readFileSync(new URL(`../fixtures/rancher-metadata/${name}`, import.meta.url), 'utf8')

const recordedTree = (name = '2015-07-25.json'): AnswerMap => {
  const { version: _, ...tree } = JSON.parse(recorded(name))
  return tree
}

let server: MetadataServer | undefined

afterEach(() => server?.close())

async function start(options?: { tree?: AnswerMap; self?: AnswerMap }) {
  server = await startMetadataServer(options)
  return server
}

const get = (at: MetadataServer, path: string, accept = 'application/json') =>
  fetch(`http://${at.host}/${path}`, { headers: { accept } })

const versionOf = async (at: MetadataServer) => String(await (await get(at, 'latest/version')).json())

describe('the metadata double answers as the recorded service did', () => {
  test.each(['2015-07-25', '2015-12-19'])('the whole of %s as JSON that says text/plain', async (version) => {
    const double = await start({ tree: recordedTree() })
    const reply = await get(double, version)
    expect(await reply.json()).toEqual(JSON.parse(recorded(`${version}.json`)))
    expect(reply.headers.get('content-type')).toBe('text/plain; charset=utf-8')
  })

  test('the newest version has objects and lower-case names', async () => {
    const double = await start({ tree: recordedTree('latest.json') })
    for (const version of ['latest', '2016-07-29']) {
      const reply = await get(double, `${version}/services/0/containers/0`)
      expect(await reply.json()).toMatchObject({
        name: 'default_alena_1',
        stack_name: 'default',
        service_name: 'alena',
      })
    }
  })

  test('the listings as text', async () => {
    const double = await start({ tree: recordedTree() })
    expect(await (await get(double, '2015-12-19/', '*/*')).text()).toBe(recorded('2015-12-19.txt'))
    expect(await (await get(double, '2015-12-19/containers/0', '*/*')).text()).toBe(
      recorded('2015-12-19.containers.0.txt'),
    )
    expect(await (await get(double, '2015-12-19/services', '*/*')).text()).toBe('0=alena\n')
    expect(await (await get(double, '2015-12-19/containers/Network%20Agent/primary_ip', '*/*')).text()).toBe(
      '10.42.185.183',
    )
  })

  test('self is told by the caller, and a stranger has none', async () => {
    const self: AnswerMap = JSON.parse(recorded('2015-12-19.self.json'))
    const double = await start({ tree: recordedTree(), self })
    expect(await (await get(double, '2015-12-19/self')).json()).toEqual(self)
    expect(await (await get(double, 'latest/self/host/agent_ip', '*/*')).text()).toBe('127.0.0.1')
    double.setSelf(undefined)
    double.setSelf(self, '10.1.1.1')
    expect((await get(double, '2015-12-19/self/host/agent_ip')).status).toBe(404)
  })

  test('what is missing is 404, in text and in JSON', async () => {
    const double = await start({ tree: recordedTree() })
    for (const path of ['2014-01-01/containers', 'latest/nothing', 'latest/containers/9', 'latest/host/name']) {
      const [text, json] = [await get(double, path, '*/*'), await get(double, path)]
      expect([text.status, await text.text()]).toEqual([404, 'Not found'])
      expect([json.status, await json.json()]).toEqual([404, { code: 404, message: 'Not found', type: 'error' }])
    }
  })
})

describe('the metadata double waits for a new version', () => {
  test('and answers when it comes, at once when it is there already, and with the old one when time is up', async () => {
    const double = await start()
    const version = await versionOf(double)
    const waiting = get(double, `latest/version?wait=true&value=${version}&maxWait=60`)
    await until('the caller waits', () => double.waiting === 1)
    double.set(metadataTree([metadataContainer({ name: 'a' })]))
    const next = await (await waiting).json()
    expect(next).not.toBe(version)
    expect(await (await get(double, `latest/version?wait=true&value=${version}`)).json()).toBe(next)
    expect(await (await get(double, `latest/version?wait=true&value=${next}&maxWait=1`)).json()).toBe(next)
    expect(double.waiting).toBe(0)
  })

  test('unless it is told to be one that cannot', async () => {
    const double = await start()
    const version = await versionOf(double)
    double.longPoll = 'ignored'
    expect(await (await get(double, `latest/version?wait=true&value=${version}`)).json()).toBe(version)
    double.longPoll = 'missing'
    expect((await get(double, `latest/version?wait=true&value=${version}`)).status).toBe(404)
  })
})

describe('the metadata double fails on demand', () => {
  test.each(['down', 'truncated'] as const)('%s breaks the connection', async (kind) => {
    const double = await start()
    double.fault(kind)
    await expect(get(double, 'latest/containers').then((reply) => reply.text())).rejects.toThrow()
    double.fault(undefined)
    expect((await get(double, 'latest/containers')).status).toBe(200)
  })

  test.each(['garbage', 'partial'] as const)('%s is a complete reply that is no JSON', async (kind) => {
    const double = await start()
    double.fault(kind, /containers/)
    const reply = await get(double, 'latest/containers')
    expect(reply.status).toBe(200)
    await expect(reply.json()).rejects.toThrow()
    expect((await get(double, 'latest/version')).status).toBe(200)
  })

  test('500 is a server error, and slow never answers', async () => {
    const double = await start()
    double.fault('500')
    expect((await get(double, 'latest/containers')).status).toBe(500)
    double.fault('slow')
    const signal = AbortSignal.timeout(50)
    await expect(fetch(`http://${double.host}/latest/containers`, { signal })).rejects.toThrow('timeout')
  })
})
