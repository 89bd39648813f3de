import { afterEach, describe, expect, test } from '@jest/globals'
import { loadConfig } from '../../src/config/load.js'
import { silentLogger } from '../../src/lib/logger.js'
import { createSources } from '../../src/sources/index.js'
import { type RancherApi, startRancherApi } from '../support/rancher-api.js'

describe('what a source may leave out', () => {
  let api: RancherApi | undefined
  afterEach(() => api?.close())

  test.each([
    [[], ['routed']],
    [['consul'], ['announced', 'named', 'routed']],
  ])('with the registries %j, services with these labels stay: %j', async (registries, names) => {
    api = await startRancherApi()
    api.add({ name: 'routed', labels: { 'hostler.port': '80' } })
    api.add({ name: 'announced', labels: { rancon: '' } })
    api.add({ name: 'named', labels: { 'rancon.name': 'x' } })
    api.add({ name: 'other', labels: { 'rancon-like': 'x', 'x.rancon': '1' } })
    const { settings } = loadConfig({
      env: {
        HOSTLER_SOURCES: 'rancher-api',
        ...{ RANCHER_URL: api.url(), RANCHER_ACCESS_KEY: api.accessKey, RANCHER_SECRET_KEY: api.secretKey },
      },
    })
    const [source] = await createSources({ ...settings, registries }, { log: silentLogger() })
    const found = await source?.list(new AbortController().signal)
    expect(found?.map(({ name }) => name).sort()).toEqual(names)
  })
})
