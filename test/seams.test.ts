import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { loadConfig } from '../src/config/load.js'
import { silentLogger } from '../src/lib/logger.js'
import { proxyFactories } from '../src/proxies/index.js'
import { PROXY_NAMES } from '../src/proxies/names.js'
import { registryFactories } from '../src/registries/index.js'
import { REGISTRY_NAMES } from '../src/registries/names.js'
import { createRuntimes, runtimeFactories, runtimeNames } from '../src/runtimes/index.js'
import { createSources, sourceFactories } from '../src/sources/index.js'
import { SOURCE_NAMES } from '../src/sources/names.js'

/** Files of a seam's folder that are no plugin. */
const SHARED = ['index', 'names', 'source', 'proxy', 'runtime', 'registry', 'public-address']

/** A runtime's file is called like the source of the instances that it acts on, or after the one way to do that. */
const SOURCE_OF: Readonly<Record<string, string>> = { rancher: 'rancher-api' }

const pluginsIn = (folder: string): string[] => {
  const names = readdirSync(fileURLToPath(new URL(`../src/${folder}`, import.meta.url)))
  return [...new Set(names.map((name) => name.replace(/\.ts$/, '')))].filter((name) => !SHARED.includes(name)).sort()
}

describe('every plugin in the folder is registered, and nothing else is', () => {
  test('sources', () => {
    expect(Object.keys(sourceFactories).sort()).toEqual(pluginsIn('sources'))
    expect([...SOURCE_NAMES].sort()).toEqual(pluginsIn('sources'))
  })
  test('proxies', () => {
    expect(Object.keys(proxyFactories).sort()).toEqual(pluginsIn('proxies'))
    expect([...PROXY_NAMES].sort()).toEqual(pluginsIn('proxies'))
  })
  test('registries', () => {
    expect(Object.keys(registryFactories).sort()).toEqual(pluginsIn('registries'))
    expect([...REGISTRY_NAMES].sort()).toEqual(pluginsIn('registries'))
  })
  test('runtimes', () => {
    const sources = pluginsIn('runtimes').map((name) => SOURCE_OF[name] ?? name)
    expect(Object.keys(runtimeFactories).sort()).toEqual(sources.sort())
    for (const name of sources) expect(SOURCE_NAMES).toContain(name)
  })
})

describe('a runtime acts on the instances of one source', () => {
  const settingsFor = (sources: string, hosts: string) =>
    loadConfig({ env: { HOSTLER_SOURCES: sources, DOCKER_HOST: hosts } }).settings
  const context = { log: silentLogger() }

  test.each([
    ['docker', 'unix:///var/run/docker.sock'],
    ['docker', 'unix:///a/docker.sock,tcp://10.0.0.7:2375,tcp://10.0.0.7:2376'],
    ['file,docker', '/run/podman/podman.sock'],
  ])('%s at %s: each runtime is called like the source of the same endpoint', async (sources, hosts) => {
    const settings = settingsFor(sources, hosts)
    const names = (await createSources(settings, context)).map(({ name }) => name)
    const runtimes = (await createRuntimes(settings, context)).map(({ source }) => source)
    expect(runtimes).toEqual(names.filter((name) => name.startsWith('docker')))
    expect(runtimeNames(settings)).toEqual(runtimes)
  })

  test('services that are read from Rancher, beside containers of Docker', async () => {
    const { settings } = loadConfig({
      env: { HOSTLER_SOURCES: 'docker,rancher-api', DOCKER_HOST: '/x.sock', RANCHER_URL: 'http://rancher:8080' },
    })
    const names = (await createSources(settings, context)).map(({ name }) => name)
    expect((await createRuntimes(settings, context)).map(({ source }) => source)).toEqual(names)
    expect(runtimeNames(settings)).toEqual(names)
  })

  test('what only tells of instances has none', async () => {
    expect(await createRuntimes(settingsFor('file,rancher-metadata', '/x.sock'), context)).toEqual([])
  })
})
