import { readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { startUpstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

const PAGE = readFileSync(fileURLToPath(new URL('../../docs/templates.md', import.meta.url)), 'utf8')
/** The partial of the worked example, as a reader would copy it. */
const EXAMPLE = /_rules\.hbs <<'END'\n([\s\S]*?)\nEND\n/.exec(PAGE)?.[1] ?? ''

describeWith(['haproxy'], "a customer's own templates", () => {
  let rig: Rig
  const served = async (host: string, path: string) => {
    const { status, echo } = await rig.ask(`${host}.ci.example.com`, path)
    return echo?.app ?? status
  }

  beforeAll(async () => {
    rig = await createRig()
    Object.assign(rig.env, { HOSTLER_TEMPLATES: rig.path('mine') })
    rig.write('mine/haproxy/.keep', '')
    const [shop, old] = [await startUpstream('shop'), await startUpstream('old-site')]
    rig.keep(shop, old)
    rig.stacks([
      { name: 'shop', stack: 'shop', labels: { port: shop.port } },
      { name: 'old-site', stack: 'old-site', labels: { port: old.port } },
    ])
    await rig.start()
  })
  afterAll(() => rig?.close())

  test('the example in docs/templates.md does what it says, without a restart', async () => {
    expect([await served('shop', '/legacy/x'), await served('shop', '/-/health')]).toEqual(['shop', 'shop'])
    rig.write('mine/haproxy/_rules.hbs', `${EXAMPLE}\n`)
    await until('the rule is in force', async () => (await served('shop', '/legacy/x')) === 'old-site')
    expect([await served('shop', '/legacy'), await served('shop', '/legacyx')]).toEqual(['old-site', 'shop'])
    expect(await served('shop', '/-/health')).toBe(403)
    expect(await served('shop', '/')).toBe('shop')
  })

  test('taken away, everything is as it was', async () => {
    rmSync(rig.path('mine/haproxy/_rules.hbs'))
    await until('the rule is gone', async () => (await served('shop', '/legacy/x')) === 'shop')
  })

  test('a file of a new name is rendered too, and loaded where it is a configuration', async () => {
    rig.write(
      'mine/haproxy/stacks.txt.hbs',
      '{{#each backends}}\n{{stack}}: {{join (list name service) "/"}}\n{{/each}}\n',
    )
    rig.write(
      'mine/haproxy/zz-own.cfg.hbs',
      `frontend own\n  bind 127.0.0.1:${rig.ports.stats}\n  default_backend shop\n`,
    )
    const own = async () => (await fetch(`http://127.0.0.1:${rig.ports.stats}/`)).status
    await until('the new frontend answers', async () => (await own()) === 200)
    expect(rig.read('out/stacks.txt')).toBe('old-site: old-site/old-site\nshop: shop/shop\n')
    rmSync(rig.path('mine/haproxy/zz-own.cfg.hbs'))
    await until('it is gone', () =>
      own().then(
        () => false,
        () => true,
      ),
    )
    expect(() => rig.read('out/zz-own.cfg')).toThrow('ENOENT')
  })
})
