import { describe, expect, test } from '@jest/globals'
import { systemClock } from '../../src/lib/clock.js'
import { silentLogger } from '../../src/lib/logger.js'
import { createTraefik } from '../../src/proxies/traefik/index.js'
import { createYamlCheck } from '../../src/proxies/traefik/yaml-check.js'
import { tempDir } from '../support/temp.js'
import { planOf, settingsOf } from '../support/traefik-plan.js'

const check = (text: string, mustRoute = true) => createYamlCheck().complaint(text, mustRoute)
const messageFor = async (text: string) => (await check(text))?.message
const ROUTERS = 'http:\n  routers:\n'

describe('checking a file for Traefik', () => {
  test.each([
    ['', /no http section/],
    ['# only a comment\n', /no http section/],
    ['tls: {}\n', /no http section/],
    ['- a\n', /is no map/],
    ['http: {}\n', /http is empty/],
    ['http:\n', /no http section/],
    ['http:\n  routers: {}\n', /routers is empty/],
    ['http:\n  routers:\n  services:\n    a:\n      x: 1\n', /routers is empty/],
    ['http:\n  services:\n    a:\n      loadBalancer: {}\n', /loadBalancer is empty/],
    ['http:\n  middlewares:\n    a:\n      headers: {}\n', /headers is empty/],
    [`${ROUTERS}    2024:\n      rule: x\n`, /2024 is read as no text; put it in quotes/],
    [`${ROUTERS}    a:\n      rule: x\n    a:\n      rule: y\n`, /unique/],
    [`${ROUTERS}    a:\n      rule: x\n    "a":\n      rule: y\n`, /unique/],
    [`${ROUTERS}    a:\n      rule: x\n      rule: y\n`, /unique/],
    [`${ROUTERS}    a:\n      rule: x\nhttp:\n  routers:\n    b:\n      rule: x\n`, /unique/],
    [`${ROUTERS}    a:\n      rule: "x\n`, /quote/i],
    [`${ROUTERS}    a:\n      rule: @x\n`, /@/],
    [`${ROUTERS}    a:\n     rule: [x\n`, /flow/i],
    [`${ROUTERS}    a:\n      rule: x\n---\nhttp: {}\n`, /second document|document/],
    [`${ROUTERS}    a:\n\trule: x\n`, /tab/i],
  ])('%j is refused', async (text, message) => {
    expect(await messageFor(text)).toMatch(message)
  })

  test.each([
    [`${ROUTERS}    a:\n      rule: x\n      tls: {}\n      middlewares: []\n`],
    [`${ROUTERS}    "2024":\n      rule: x\n  services:\n    "2024":\n      loadBalancer:\n        servers: []\n`],
    ['http: { routers: { a: { rule: x } } }\n'],
    ['http:\n    routers:\n        a:\n            rule: x\n        b:\n            rule: x\n'],
    ['http:\n  routers:\n    a: &base\n      rule: x\n    b: *base\n'],
  ])('%j is accepted', async (text) => {
    expect(await messageFor(text)).toBeUndefined()
  })

  test('an extra file may do without http', async () => {
    expect(await check('tcp:\n  routers:\n    a:\n      rule: x\n', false)).toBeUndefined()
    expect(await check('', false)).toBeUndefined()
  })

  test('finds a mistake in what it has not seen before, and remembers what it has', async () => {
    const yaml = createYamlCheck()
    const entries = Array.from({ length: 500 }, (_, index) => `    "app-${index}":\n      rule: "x"\n`)
    expect(await yaml.complaint(ROUTERS + entries.join(''), true)).toBeUndefined()
    entries[250] = '    "app-250":\n      rule: "x\n'
    expect(await yaml.complaint(ROUTERS + entries.join(''), true)).toMatchObject({ entry: 'app-250' })
    entries[250] = '    "app-250":\n      rule: "y"\n'
    expect(await yaml.complaint(ROUTERS + entries.join(''), true)).toBeUndefined()
  })

  test('names the backend at fault', async () => {
    const settings = settingsOf()
    const proxy = createTraefik(
      { ...settings, traefik: { ...settings.traefik, dir: tempDir() } },
      { log: silentLogger(), clock: systemClock, duty: 'drive' },
    )
    const [file] = proxy.render(planOf([{ name: 'shop', routes: [{ host: 'a.test' }, { host: 'b.test' }] }]))
    const content = file?.content.replace('"Host(`b.test`)"', '"Host(`b.test`)') ?? ''
    const staged = { files: [{ path: '/d/hostler.yml', content, stagedPath: '', changed: true }], scratch: '' }
    expect(await proxy.check(staged, new AbortController().signal)).toEqual({
      ok: false,
      message: expect.stringMatching(/^hostler.yml, shop~2: /),
      culprits: ['shop'],
    })
  })
})
