import { describe, expect, test } from '@jest/globals'
import { type SyncCall, syncPlan } from '../../src/cli/sync-options.js'

const flagsOf = (call: SyncCall, env: Record<string, string> = {}) => {
  const { flags, options } = syncPlan(call, env)
  return Object.fromEntries([...flags, ...options])
}
const failure = (call: SyncCall, env: Record<string, string> = {}): string => {
  try {
    syncPlan(call, env)
    return 'it went well'
  } catch (error) {
    return (error as Error).message
  }
}

const ONCE = { sources: 'rancher-api', registries: 'consul', proxy: 'none', 'consul.lease': '0' }

describe("Rancon's arguments", () => {
  test('name source and registry, and their options', () => {
    const call = {
      ...{ source: 'rancher', registry: 'consul' },
      sourceOptions: ['url=http://rancher:8080/v1', 'accesskey=a', 'secretkey=b=c', 'default_name_scheme=%STACK%'],
      registryOptions: ['url=http://%HOST%:8500', 'id_schema=%NAME%', 'cleanup_id=x'],
    }
    expect(syncPlan(call, {}).continuous).toBe(false)
    expect(flagsOf(call)).toEqual({
      ...ONCE,
      ...{ 'rancher.url': 'http://rancher:8080/v1', 'rancher.accessKey': 'a', 'rancher.secretKey': 'b=c' },
      ...{ 'consul.nameScheme': '%STACK%', 'consul.url': 'http://%HOST%:8500' },
      ...{ 'consul.idSchema': '%NAME%', 'consul.cleanupId': 'x' },
    })
  })

  test('may come from the environment, and are read after it', () => {
    const env = {
      ...{ RANCON_SOURCE: 'rancher', RANCON_BACKEND: 'consul' },
      RANCON_SOURCE_OPTIONS: 'url=http://r:8080/v1,accesskey=a,secretkey=with,comma',
      RANCON_BACKEND_OPTIONS: 'url=http://c:8500,cleanup_id=env',
    }
    expect(flagsOf({}, env)).toEqual({
      ...ONCE,
      ...{ 'rancher.url': 'http://r:8080/v1', 'rancher.accessKey': 'a', 'rancher.secretKey': 'with,comma' },
      ...{ 'consul.url': 'http://c:8500', 'consul.cleanupId': 'env' },
    })
    expect(flagsOf({ registryOptions: ['cleanup_id=arg'] }, env)).toMatchObject({ 'consul.cleanupId': 'arg' })
  })

  test('write to the agent on the host of each endpoint, unless anybody says something else', () => {
    const call = { source: 'rancher', registry: 'consul' }
    expect(Object.fromEntries(syncPlan(call, {}).defaults)).toEqual({ 'consul.url': 'http://%HOST%:8500' })
    expect(flagsOf(call)).not.toHaveProperty(['consul.url'])
    expect(syncPlan({ ...call, source: 'docker' }, {}).defaults.size).toBe(0)
  })

  test.each([
    ['http://consul', 'http://consul:8500'],
    ['http://%HOST%', 'http://%HOST%:8500'],
    ['http://ann:pw@consul/prefix', 'http://ann:pw@consul:8500/prefix'],
    ['http://[fd00::1]', 'http://[fd00::1]:8500'],
    ['http://consul:80', 'http://consul:80'],
    ['https://consul', 'https://consul'],
    ['unix:///run/consul.sock', 'unix:///run/consul.sock'],
  ])("go to Consul's port where the address %s names none", (url, whole) => {
    const call = { source: 'rancher', registry: 'consul' }
    expect(flagsOf({ ...call, registryOptions: [`url=${url}`] })).toMatchObject({ 'consul.url': whole })
    expect(flagsOf(call, { RANCON_BACKEND_OPTIONS: `url=${url}` })).toMatchObject({ 'consul.url': whole })
  })

  test('of the command line count more than --set does, and variables less', () => {
    const call = { source: 'rancher', registry: 'consul', registryOptions: ['cleanup_id=arg'] }
    const { flags, options } = syncPlan(call, { RANCON_BACKEND_OPTIONS: 'id_schema=env' })
    expect(Object.fromEntries(options)).toEqual({ 'consul.cleanupId': 'arg' })
    expect(Object.fromEntries(flags)).toEqual({ ...ONCE, 'consul.idSchema': 'env' })
  })

  test.each([
    [0, undefined],
    [1, 'debug'],
    [3, 'debug'],
    [4, 'trace'],
  ])('-v %i times is the level %s', (verbose, level) => {
    expect(flagsOf({ source: 'file', registry: 'consul', verbose })['log.level']).toBe(level)
  })

  test.each<[SyncCall, Record<string, string>]>([
    [{ continuous: true, wait: '10' }, {}],
    [{ wait: '10' }, { RANCON_FOREGROUND: '1' }],
    [{ continuous: true }, { RANCON_WAIT: '10' }],
  ])('%j with %j run on, and look every 10 s', (call, env) => {
    const whole = { source: 'rancher', registry: 'consul', ...call }
    expect(syncPlan(whole, env).continuous).toBe(true)
    expect(flagsOf(whole, env)).toMatchObject({ pollInterval: '10000ms', 'rancher.pollInterval': '10000ms' })
    expect(flagsOf(whole, env)).not.toHaveProperty(['consul.lease'])
  })
})

describe('every source goes into every registry', () => {
  test.each([
    ['file', 'path=x.yml', { 'file.path': 'x.yml' }],
    ['docker', 'hosts=tcp://a:1,tcp://b:2', { 'docker.hosts': 'tcp://a:1,tcp://b:2' }],
    ['rancher-metadata', 'host=m', { 'metadata.host': 'm' }],
    ['rancher-api', 'project=p', { 'rancher.project': 'p' }],
  ])('%s with its own settings', (source, option, flags) => {
    const call = { source, registry: 'consul', sourceOptions: [option], registryOptions: ['tls_server_name=x'] }
    expect(failure(call)).toContain('consul has no option called "tls_server_name"')
    const { registryOptions: _, ...right } = call
    expect(flagsOf(right)).toMatchObject({ sources: source, registries: 'consul', ...flags })
  })
})

describe('what cannot be meant is refused, and no value is shown', () => {
  test.each<[SyncCall, RegExp]>([
    [{}, /^no source was named; hostler sync SOURCE REGISTRY, with one of docker, /],
    [{ source: 'dokcer', registry: 'consul' }, /^no source is called "dokcer"\. Did you mean docker\?/],
    [{ source: 'docker' }, /^no registry was named/],
    [{ source: 'docker', registry: 'console' }, /^no registry is called "console"\. Did you mean consul\?/],
    [{ source: 'consul', registry: 'consul' }, /^consul cannot be both source and registry/],
    [{ source: 'file', registry: 'consul', sourceOptions: ['s3cret'] }, /^-s takes KEY=VALUE, for example/],
    [
      { source: 'rancher', registry: 'consul', sourceOptions: ['secretkye=s3cret'] },
      /^rancher-api has no option called "secretkye"\. Did you mean secretKey\? It has url, accessKey, /,
    ],
    [{ source: 'file', registry: 'consul', continuous: true, wait: 'soon' }, /^-w takes a number of seconds/],
  ])('%j', (call, message) => {
    expect(failure(call)).toMatch(message)
    expect(failure(call)).not.toContain('s3cret')
  })
})
