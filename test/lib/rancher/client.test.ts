import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { codeOf, messageOf } from '../../../src/lib/errors.js'
import { baseOf, type RancherAddress } from '../../../src/lib/rancher/address.js'
import { type RancherClient, withRancherClient } from '../../../src/lib/rancher/client.js'
import { type RancherApi, type RancherFault, startRancherApi } from '../../support/rancher-api.js'

const signal = new AbortController().signal

let api: RancherApi
beforeEach(async () => {
  api = await startRancherApi()
})
afterEach(() => api.close())

const withClient = <T>(use: (client: RancherClient) => Promise<T>, more: Partial<RancherAddress> = {}) => {
  const { accessKey, secretKey } = api
  return withRancherClient({ url: api.url(), accessKey, secretKey, project: '', timeoutMs: 5000, ...more }, use)
}

const listing = (more: Partial<RancherAddress> = {}) =>
  withClient((client) => client.list(`${client.base.url}/projects`, signal), more)

async function failureOf(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return { code: codeOf(error), message: messageOf(error) }
}

describe('where Rancher is', () => {
  test.each([
    ['http://rancher:8080', { url: 'http://rancher:8080/v2-beta', dialect: 'v2' }],
    ['http://rancher:8080/', { url: 'http://rancher:8080/v2-beta', dialect: 'v2' }],
    ['https://rancher.example.com/v1', { url: 'https://rancher.example.com/v1', dialect: 'v1' }],
    ['http://r/v2-beta/schemas', { url: 'http://r/v2-beta', dialect: 'v2' }],
    ['http://r/v2-beta/projects/1a5', { url: 'http://r/v2-beta', dialect: 'v2', projectId: '1a5' }],
    ['http://r/v1/projects/1a5/schemas', { url: 'http://r/v1', dialect: 'v1', projectId: '1a5' }],
    ['http://gate/tools/rancher/v1', { url: 'http://gate/tools/rancher/v1', dialect: 'v1' }],
  ])('%s', (url, base) => expect(baseOf({ url })).toEqual(base))

  test.each([
    ['', /rancher\.url is empty; set RANCHER_URL/],
    ['rancher', /is not a URL/],
    ['ftp://r/v1', /is not a URL/],
    ['http://r/v3', /a path that is not Rancher's: \/v3/],
    ['http://r/v1/hosts', /a path that is not/],
    ['http://r/v1?a=b', /a path that is not/],
    ['http://key:secret@r/v1', /holds user and password; leave them out, and set RANCHER_ACCESS_KEY/],
  ])('%s is refused', (url, says) => {
    expect(() => baseOf({ url })).toThrow(says)
    expect(() => baseOf({ url })).not.toThrow(/secret@/)
  })
})

describe('what goes wrong is told with URL and status, and never with a key', () => {
  test.each<[RancherFault, string, RegExp]>([
    ['down', 'rancher-unreachable', /^GET http:\S+\/projects\?limit=1000 failed; see that Rancher runs there/],
    ['cut', 'rancher-unreachable', /^GET http:\S+ failed/],
    ['slow', 'rancher-unreachable', /failed; .*the whole answer took longer than 0\.3 s/],
    ['endless', 'rancher-unreachable', /^GET http:\S+ failed/],
    ['500', 'rancher-status', /^GET http:\S+ answered 500; is Rancher's API there, and well\?/],
    ['503', 'rancher-status', /^GET http:\S+ answered 503/],
    ['garbage', 'rancher-syntax', /^GET http:\S+ answered 200 and 35 characters that are not JSON/],
    ['loop', 'rancher-paging', /the pages of http:\S+ never end/],
  ])('%s', async (fault, code, says) => {
    api.fault(fault)
    const timeoutMs = fault === 'slow' ? 300 : 5000
    const failure = await failureOf(listing({ timeoutMs, maxBytes: 4 << 20 }))
    expect(failure).toEqual({ code, message: expect.stringMatching(says) })
    expect(failure.message).not.toMatch(/[\r\n]/)
    expect(failure.message).not.toContain(api.secretKey)
  })

  test('a next page of nothing that can be read', async () => {
    api.fault('unmarked')
    expect(await failureOf(listing())).toEqual({
      code: 'rancher-paging',
      message: expect.stringMatching(
        /^the page after http:\S+limit=1000 is said to be at nowhere, which has no marker/,
      ),
    })
  })

  test('wrong keys', async () => {
    const failure = await failureOf(listing({ secretKey: 'wrong-secret' }))
    expect(failure).toEqual({
      code: 'rancher-key',
      message: expect.stringMatching(/^GET http:\S+ answered 401; see that RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY/),
    })
    expect(failure.message).not.toMatch(/wrong-secret|EXAMPLEKEY/)
  })

  test('a list that is none, and one that is not there', async () => {
    const at = (path: string) => withClient((client) => client.list(`${client.base.url}${path}`, signal))
    const project = api.world.project('Default').id
    expect(await failureOf(at(`/projects/${project}`))).toMatchObject({
      code: 'rancher-shape',
      message: expect.stringMatching(/is not a list/),
    })
    expect(await failureOf(at('/nope'))).toMatchObject({
      code: 'rancher-missing',
      message: expect.stringMatching(/is not there \(404\)/),
    })
  })

  test('pages are read where Rancher was asked, whatever scheme, host or path it calls its own', async () => {
    for (const name of ['a', 'b', 'c', 'd']) api.world.project(name)
    api.fault('foreign')
    const { entries, isOnePage } = await listing()
    expect(entries).toHaveLength(5)
    expect(isOnePage).toBe(false)
    expect(api.requests).toEqual(
      ['', '&marker=m2', '&marker=m4'].map((marker) => `GET /v2-beta/projects?limit=1000${marker}`),
    )
  })

  test('keys go nowhere but to the configured place', async () => {
    const other = await startRancherApi()
    try {
      await listing({ url: other.url() })
      expect(other.requests).toHaveLength(1)
    } finally {
      await other.close()
    }
    expect(api.requests).toEqual([])
  })
})

describe('what Rancher has understood is for the caller to judge', () => {
  test('a name that is taken', async () => {
    const { id } = api.world.project('Default')
    api.add({ name: 'web', stack: 'shop' })
    const stackId = api.world.stack('shop', id).id
    const answer = await withClient((client) =>
      client.call(
        { method: 'POST', url: `${client.base.url}/projects/${id}/services`, body: { name: 'WEB', stackId } },
        signal,
      ),
    )
    expect(answer).toMatchObject({ status: 422, code: 'NotUnique', field: 'name', complaint: 'NotUnique (name)' })
  })

  test('what is not there', async () => {
    const read = (path: string) => withClient((client) => client.read(`${client.base.url}${path}`, signal))
    expect(await read('/projects/1a9')).toBeUndefined()
  })
})

test('the signal ends a request at once', async () => {
  api.fault('slow')
  const controller = new AbortController()
  const work = withClient((client) => client.list(`${client.base.url}/projects`, controller.signal))
  const reason = new Error('enough')
  controller.abort(reason)
  await expect(work).rejects.toBe(reason)
})
