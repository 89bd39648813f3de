import { describe, expect, test } from '@jest/globals'
import { type ChangeInputs, createChangePlanner } from '../../../../src/proxies/haproxy/runtime/planner.js'
import { describeStep } from '../../../../src/proxies/haproxy/runtime/planner-steps.js'
import { NOTHING_SINCE_LOAD, type SpareState } from '../../../../src/proxies/haproxy/runtime/spares.js'
import { ModelHaproxy } from './haproxy-model.js'

const FRONTEND = `global
  stats socket /run/admin.sock level admin

defaults web
  mode http
  balance roundrobin

frontend hostler
  bind :80
  use_backend %[req.hdr(host),lower,map_str(/h/domain.map)]
  default_backend be_sorry

backend be_sorry
  http-request return status 404
`

const SHOP = `
backend shop
  mode http
  server web-1 10.0.0.1:80 check inter 2s
  server web-2 10.0.0.2:80 check inter 2s
`
const BLOG = `
backend blog
  mode http
  server blog-1 10.0.1.1:80
`
const SPARES = `
backend hostler_spare_001
  mode http

backend hostler_spare_002
  mode http
`
const MAP = 'shop.test shop\n'

interface Scene {
  readonly config: string
  readonly map?: string
  readonly other?: string
}

const ROLES = { configs: ['/h/haproxy.cfg'], maps: ['/h/domain.map'], lists: [], certificates: [] }

const imageOf = ({ config, map = MAP, other = 'sorry' }: Scene) =>
  new Map([
    ['/h/haproxy.cfg', config],
    ['/h/domain.map', map],
    ['/h/sorry.html', other],
  ])

type Version = [major: number, minor: number]

/** A worker that loaded the first scene, and what it takes to get to the next ones. */
function worker(loaded: Scene, [major, minor]: Version = [2, 6], env = {}) {
  const planChange = createChangePlanner({ env })
  const model = new ModelHaproxy(ROLES, { major, minor }).load(imageOf(loaded))
  let spares: SpareState = NOTHING_SINCE_LOAD
  const ask = (wanted: Scene, more: Partial<ChangeInputs> = {}) =>
    planChange({
      loaded: imageOf(loaded),
      wanted: imageOf(wanted),
      running: model.running(),
      files: ROLES,
      spares,
      ...more,
    })
  return {
    model,
    ask,
    spares: () => spares,
    /** The steps in words, one per line, or the reason to reload. */
    plan(wanted: Scene, more: Partial<ChangeInputs> = {}): string {
      const { plan } = ask(wanted, more)
      return 'reload' in plan ? `reload: ${plan.reload}` : plan.steps.map((step) => describeStep(step)).join('\n')
    },
    /** The same, and done. */
    go(wanted: Scene): string {
      const change = ask(wanted)
      if ('reload' in change.plan) return `reload: ${change.plan.reload}`
      for (const step of change.plan.steps) model.execute(step)
      spares = change.spares
      return change.plan.steps.map((step) => describeStep(step, spares)).join('\n')
    },
  }
}

const shop = (servers: string, lines = '  mode http\n') => ({ config: `${FRONTEND}\nbackend shop\n${lines}${servers}` })
const SERVER = '  server web-1 10.0.0.1:80\n'

describe('servers', () => {
  test('nothing is done when nothing differs but comments and white space', () => {
    const { plan } = worker({ config: FRONTEND + SHOP })
    expect(
      plan({ config: `# New.\n${FRONTEND.replaceAll('  ', '\t')}${SHOP.replace('2s', '2s   # often')}\n\n` }),
    ).toBe('')
  })

  test('a new line adds a server, a line that is gone removes one, additions come first', () => {
    const { plan } = worker({ config: FRONTEND + SHOP })
    expect(plan({ config: FRONTEND + SHOP.replace('web-1 10.0.0.1', 'web-3 10.0.0.3') })).toBe(
      'add server shop/web-3 at 10.0.0.3:80 (check inter 2s)\ndrain and remove server shop/web-1',
    )
  })

  test('another address or port moves a server, another weight is set', () => {
    const { plan } = worker({ config: FRONTEND + SHOP })
    const moved = SHOP.replace('10.0.0.1:80', '10.0.0.9:8080').replace(
      '10.0.0.2:80 check',
      '10.0.0.2:80 weight 20 check',
    )
    expect(plan({ config: FRONTEND + moved })).toBe(
      'move server shop/web-1 to 10.0.0.9:8080\ngive server shop/web-2 the weight 20',
    )
  })

  test('IPv6 addresses are compared by what they mean', () => {
    const six = worker(shop('  server web-1 [fd00::0:1]:80\n'))
    six.model.backends.get('shop')!.servers.get('web-1')!.address = 'fd00::1'
    expect(six.plan(shop('  server web-1 [fd00::0:1]:80\n'))).toBe('')
    expect(six.plan(shop('  server web-1 [fd00::2]:80\n'))).toBe('move server shop/web-1 to [fd00::2]:80')
  })

  test('what somebody did to a running server is undone', () => {
    const { plan, model } = worker({ config: FRONTEND + SHOP })
    const servers = model.backends.get('shop')!.servers
    servers.get('web-1')!.maintenance = true
    servers.get('web-2')!.weight = 3
    servers.set('intruder', { address: '10.6.6.6', port: 80, weight: 1, maintenance: false, drain: false, options: '' })
    expect(plan({ config: FRONTEND + SHOP })).toBe(
      [
        'take server shop/web-1 out of maintenance',
        'give server shop/web-2 the weight 1',
        'drain and remove server shop/intruder',
      ].join('\n'),
    )
  })

  test('a server that was deleted by hand is added again', () => {
    const { plan, model } = worker({ config: FRONTEND + SHOP })
    model.backends.get('shop')!.servers.delete('web-2')
    expect(plan({ config: FRONTEND + SHOP })).toBe('add server shop/web-2 at 10.0.0.2:80 (check inter 2s)')
  })

  test('one that is on its way out is not removed twice, and is kept when it is wanted again', () => {
    const { plan, model } = worker({ config: FRONTEND + SHOP })
    const leaving = new Set(['shop/web-1'])
    model.backends.get('shop')!.servers.get('web-1')!.maintenance = true
    expect(plan({ config: FRONTEND + SHOP.replace(/ {2}server web-1.*\n/, '') }, { leaving })).toBe('')
    expect(plan({ config: FRONTEND + SHOP }, { leaving })).toBe('take server shop/web-1 out of maintenance')
  })

  test('one that was added since the load is known by its line', () => {
    const scene = worker(shop(SERVER))
    const added = shop(`${SERVER}  server web-2 10.0.0.2:80 maxconn 10\n`)
    expect(scene.go(added)).toBe('add server shop/web-2 at 10.0.0.2:80 (maxconn 10)')
    expect(scene.go(added)).toBe('')
    expect(scene.plan(shop(`${SERVER}  server web-2 10.0.0.2:80 maxconn 20\n`))).toBe(
      'reload: the options of server web-2 of shop have changed: server web-2 10.0.0.2:80 maxconn 20',
    )
  })

  const reloads: [title: string, before: string, after: string, reason: string, version?: Version][] = [
    [
      'other options',
      SERVER,
      '  server web-1 10.0.0.1:80 maxconn 5\n',
      'the options of server web-1 of shop have changed: server web-1 10.0.0.1:80 maxconn 5',
    ],
    [
      'a name for an address',
      SERVER,
      `${SERVER}  server b db.internal:80\n`,
      'server b of shop is new and has no IP address: server b db.internal:80',
    ],
    [
      'an option that is not for run time',
      SERVER,
      `${SERVER}  server b 10.0.0.2:80 resolvers dns\n`,
      'server b of shop is new, and resolvers can only be given by a load',
    ],
    [
      'an unknown option',
      SERVER,
      `${SERVER}  server b 10.0.0.2:80 teleport\n`,
      'server b of shop is new, and teleport can only be given by a load',
    ],
    [
      'a cookie before 3.0',
      SERVER,
      `${SERVER}  server b 10.0.0.2:80 cookie b\n`,
      'server b of shop is new, and cookie can only be given by a load',
    ],
    [
      'init-state before 3.1',
      SERVER,
      `${SERVER}  server b 10.0.0.2:80 init-state up\n`,
      'server b of shop is new, and init-state can only be given by a load',
      [3, 0],
    ],
    [
      'a CA that was not loaded',
      SERVER,
      `${SERVER}  server b 10.0.0.2:80 ssl ca-file /ca.pem\n`,
      'server b of shop is new, and ca-file can only be given by a load',
    ],
    [
      'a variable',
      SERVER,
      `${SERVER}  server b "\${HOST}:80"\n`,
      'server b of shop is new and has no IP address: server b ${HOST}:80',
    ],
    ['the template of servers', SERVER, '  server-template web 3 10.0.0.1:80\n', 'backend shop is new'],
    ['two servers of one name', SERVER, SERVER + SERVER, 'backend shop is new'],
    ['another line', SERVER, `  timeout server 5s\n${SERVER}`, 'backend shop has changed: timeout server 5s'],
    ['a line that is gone', `  timeout server 5s\n${SERVER}`, SERVER, 'backend shop has changed: timeout server 5s'],
  ]
  for (const [title, before, after, reason, version] of reloads) {
    test(`${title} takes a reload`, () => {
      expect(worker(shop(before), version).plan(shop(after))).toBe(`reload: ${reason}`)
    })
  }

  const lines: [title: string, lines: string, reason: string][] = [
    [
      'a default-server',
      '  default-server check\n',
      'server b of shop is new, and a default-server line applies to it',
    ],
    [
      'balance source',
      '  balance source\n',
      'server b of shop is new, and balance source does not allow that while it runs',
    ],
    [
      'a rule that names a server',
      '  use-server web-1 if { path / }\n',
      'the servers of shop have changed, and a rule names one: use-server web-1 if { path / }',
    ],
  ]
  for (const [title, line, reason] of lines) {
    test(`under ${title} a new server takes a reload`, () => {
      expect(worker(shop(SERVER, line)).plan(shop(`${SERVER}  server b 10.0.0.2:80\n`, line))).toBe(`reload: ${reason}`)
    })
  }

  test('consistent hashing, random and least connections take new servers', () => {
    for (const line of [
      '  balance source\n  hash-type consistent\n',
      '  balance random(2)\n',
      '  balance leastconn\n',
    ]) {
      const { plan } = worker(shop(SERVER, line))
      expect(plan(shop(`${SERVER}  server b 10.0.0.2:80\n`, line))).toBe('add server shop/b at 10.0.0.2:80')
    }
  })

  test('balance and default-server come from the defaults that apply, through their own parents too', () => {
    const defaults = 'defaults base\n  balance source\ndefaults from base\n  mode http\n'
    const scene = (servers: string) => ({
      config: `${defaults}${FRONTEND.replace('  balance roundrobin\n', '')}\nbackend a from base\n${servers}`,
    })
    expect(worker(scene(SERVER)).plan(scene(`${SERVER}  server b 10.0.0.2:80\n`))).toBe(
      'reload: server b of a is new, and balance source does not allow that while it runs',
    )
  })

  test('a cookie is given at run time from 3.0 on', () => {
    const { plan } = worker(shop(SERVER), [3, 0])
    expect(plan(shop(`${SERVER}  server b 10.0.0.2:80 cookie b\n`))).toBe('add server shop/b at 10.0.0.2:80 (cookie b)')
  })

  test('a CA that another server of the backend uses is loaded already', () => {
    const tls = (name: string, last: number) =>
      `  server ${name} 10.0.0.${last}:443 ssl verify required ca-file /ca.pem\n`
    expect(worker(shop(tls('a', 1))).plan(shop(tls('a', 1) + tls('b', 2)))).toContain('add server shop/b')
  })

  test('a server that somebody added under a wanted name has options that nobody knows', () => {
    const scene = worker(shop(SERVER))
    const other = { address: '10.0.0.2', port: 80, weight: 1, maintenance: false, drain: false, options: '' }
    scene.model.backends.get('shop')!.servers.set('b', other)
    expect(scene.plan(shop(`${SERVER}  server b 10.0.0.2:80\n`))).toBe(
      'reload: server b of shop was added by somebody else, with options that are not known',
    )
  })

  test('one that the file disables, one that has a name and one that an agent steers are left as they are', () => {
    const lines = [
      '  server a 10.0.0.1:80 disabled\n',
      '  server b db.internal:80 init-addr last,libc,none\n',
      '  server c 10.0.0.3:80 agent-check agent-port 9\n',
    ].join('')
    const { plan, model } = worker(shop(lines))
    for (const server of model.backends.get('shop')!.servers.values()) server.maintenance = true
    model.backends.get('shop')!.servers.get('c')!.weight = 100
    expect(plan(shop(lines))).toBe('')
  })

  test('a backend that HAProxy lacks though it was loaded takes a reload', () => {
    const { plan, model } = worker({ config: FRONTEND + SHOP })
    model.backends.delete('shop')
    expect(plan({ config: FRONTEND + SHOP })).toBe('reload: HAProxy does not have backend shop though it was loaded')
  })
})

describe('the frame', () => {
  const changes: [title: string, config: string, reason: string][] = [
    ['a frontend', FRONTEND.replace('bind :80', 'bind :81'), 'frontend hostler has changed: bind :81'],
    ['the defaults', FRONTEND.replace('roundrobin', 'first'), 'defaults web has changed: balance first'],
    ['a new frontend', `${FRONTEND}\nfrontend more\n  bind :82\n`, 'frontend more is new'],
    ['a frontend that is gone', FRONTEND.replace(/frontend[\s\S]*?\n\n/, ''), 'frontend hostler is gone'],
    ['the name of the defaults', FRONTEND.replace('defaults web', 'defaults net'), 'defaults net is new'],
    ['a password, which is not shown', `${FRONTEND}\nuserlist u\n  user a password x\n`, 'userlist u is new'],
  ]
  for (const [title, config, reason] of changes) {
    test(`a change of ${title} takes a reload`, () => {
      expect(worker({ config: FRONTEND + SHOP }).plan({ config: config + SHOP })).toBe(`reload: ${reason}`)
    })
  }

  test('a line that may hold a password is not shown', () => {
    const list = (word: string) => ({ config: `${FRONTEND}\nuserlist u\n  user joe insecure-password ${word}\n` })
    expect(worker(list('old')).plan(list('new-secret'))).toBe('reload: userlist u has changed: user …')
  })

  test('any other file is read only by a load', () => {
    const { plan } = worker({ config: FRONTEND })
    expect(plan({ config: FRONTEND, other: 'no' })).toBe('reload: sorry.html has changed')
  })

  test('backends may change places, but not fall under other defaults', () => {
    const { plan } = worker({ config: FRONTEND + SHOP + BLOG })
    expect(plan({ config: FRONTEND + BLOG + SHOP })).toBe('')
    const more = `${FRONTEND}${SHOP}\ndefaults more\n  timeout server 1s\n`
    expect(
      worker({ config: more + BLOG }).plan({
        config: `${FRONTEND}${SHOP}${BLOG}\ndefaults more\n  timeout server 1s\n`,
      }),
    ).toBe('reload: backend blog has other defaults')
  })

  test('backends in an .if, in it themselves or with one inside, change only as a whole by a load', () => {
    const inside = (address: string) => `${FRONTEND}.if defined(X)\nbackend x\n  server a ${address}:80\n.endif\n`
    const within = (address: string) => `${FRONTEND}\nbackend x\n  .if defined(X)\n  server a ${address}:80\n  .endif\n`
    for (const config of [inside, within]) {
      const { plan } = worker({ config: config('10.0.0.1') })
      expect(plan({ config: config('10.0.0.1') })).toBe('')
      expect(plan({ config: config('10.0.0.2') })).toBe('reload: backend x has changed: server a 10.0.0.2:80')
    }
  })

  test('a file that cannot be taken apart is let be, and takes a reload when it changes', () => {
    const scene = (name: string) => ({ config: `${FRONTEND}\n"backend" ${name}\n  server a 10.0.0.1:80\n` })
    const { plan } = worker(scene('a'))
    expect(plan(scene('a'))).toBe('')
    expect(plan(scene('b'))).toBe('reload: the file /h/haproxy.cfg has changed: "backend" b')
  })
})

describe('maps', () => {
  const routed = (map: string) => ({ config: FRONTEND + SHOP + BLOG, map })

  test('entries are added, set and removed one by one when there are few', () => {
    const { plan } = worker(routed('a.test shop\nb.test shop\n'))
    expect(plan(routed('a.test blog\nc.test blog\n'))).toBe(
      ['add c.test → blog to domain.map', 'lead a.test to blog in domain.map', 'remove b.test from domain.map'].join(
        '\n',
      ),
    )
  })

  test('a map is replaced as a whole when there are many', () => {
    const many = Array.from({ length: 100 }, (_, n) => `h${n}.test shop\n`).join('')
    const { plan } = worker(routed('a.test shop\n'))
    expect(plan(routed(many))).toBe('replace domain.map by 100 entries')
  })

  test('what somebody did to it is undone', () => {
    const { plan, model } = worker(routed('a.test shop\n'))
    model.maps.get('/h/domain.map')!.set('stray.test', 'shop').set('a.test', 'blog')
    expect(plan(routed('a.test shop\n'))).toBe('lead a.test to shop in domain.map\nremove stray.test from domain.map')
  })

  test('a map that is searched from the top keeps the order of the file', () => {
    const scene = (map: string) => ({ config: (FRONTEND + SHOP + BLOG).replace('map_str', 'map_dom'), map })
    const { plan } = worker(scene('b.test shop\n'))
    expect(plan(scene('b.test shop\nc.test blog\n'))).toBe('add c.test → blog to domain.map')
    expect(plan(scene('a.test blog\nb.test shop\n'))).toBe('replace domain.map by 2 entries')
  })

  test('what cannot be a word of a command goes as a whole', () => {
    const { plan } = worker(routed('a.test shop\n'))
    expect(plan(routed('a.test shop\nb\\c shop\n'))).toBe('replace domain.map by 2 entries')
  })

  test('an entry that no command can carry takes a reload', () => {
    expect(worker(routed('a.test shop\n')).plan(routed('a.test shop\nb.test\n'))).toBe(
      'reload: domain.map has changed, and only a load can give it the entry b.test',
    )
  })

  test('a map that HAProxy does not use is let be', () => {
    const scene = worker(routed('a.test shop\n'))
    scene.model.maps.clear()
    expect(scene.plan(routed('a.test shop\n'))).toBe('')
    expect(scene.plan(routed('b.test shop\n'))).toBe('reload: domain.map has changed, and HAProxy does not know it')
  })
})

describe('backends on a HAProxy before 3.4', () => {
  const before = { config: FRONTEND + SHOP + SPARES }
  const after = { config: FRONTEND + SHOP + BLOG + SPARES, map: `${MAP}blog.test blog\n` }

  test('a new one is served by a spare, which the map leads to', () => {
    const scene = worker(before)
    expect(scene.go(after)).toBe(
      ['add server blog/blog-1 at 10.0.1.1:80 [hostler_spare_001]', 'add blog.test → blog to domain.map'].join('\n'),
    )
    expect(scene.go(after)).toBe('')
    expect(scene.go({ ...after, config: after.config.replace('10.0.1.1', '10.0.1.2') })).toBe(
      'move server blog/blog-1 to 10.0.1.2:80 [hostler_spare_001]',
    )
  })

  test('when it goes its map entry goes first, and its spare is free when it is empty, those not used before first', () => {
    const scene = worker(before)
    scene.go(after)
    expect(scene.go(before)).toBe(
      ['remove blog.test from domain.map', 'drain and remove server blog/blog-1 [hostler_spare_001]'].join('\n'),
    )
    expect([...scene.spares().used]).toEqual([['blog', 'hostler_spare_001']])
    scene.go(before)
    expect([...scene.spares().used]).toEqual([])
    expect(scene.go(after)).toContain('add server blog/blog-1 at 10.0.1.1:80 [hostler_spare_002]')
    scene.go(before)
    scene.go(before)
    expect(scene.go(after)).toContain('add server blog/blog-1 at 10.0.1.1:80 [hostler_spare_001]')
  })

  test('one that comes back while its last server still leaves takes its spare again', () => {
    const scene = worker(before)
    scene.go(after)
    const servers = scene.model.backends.get('hostler_spare_001')!.servers
    const blog = servers.get('blog-1')!
    scene.go(before)
    servers.set('blog-1', { ...blog, maintenance: true })
    expect(scene.go(after)).toBe(
      ['take server blog/blog-1 out of maintenance [hostler_spare_001]', 'add blog.test → blog to domain.map'].join(
        '\n',
      ),
    )
  })

  test('a loaded one that goes leaves an empty shell, and comes back into it', () => {
    const scene = worker(after)
    expect(scene.go(before)).toBe('remove blog.test from domain.map\ndrain and remove server blog/blog-1')
    expect(scene.go(before)).toBe('')
    expect(scene.go(after)).toBe('add server blog/blog-1 at 10.0.1.1:80\nadd blog.test → blog to domain.map')
  })

  test('a spare that an entry leads to is not free, nor is one that has servers or is not there', () => {
    const scene = worker(before)
    scene.model.maps.get('/h/domain.map')!.set('old.test', 'hostler_spare_001')
    expect(scene.plan(after)).toContain('add server hostler_spare_002/blog-1')
    scene.model.backends.delete('hostler_spare_002')
    expect(scene.plan(after)).toBe('reload: backend blog is new, and no spare backend is free')
  })

  test('a server in a spare that serves nobody is removed', () => {
    const scene = worker(before)
    const stray = { address: '10.0.0.2', port: 80, weight: 1, maintenance: false, drain: false, options: '' }
    scene.model.backends.get('hostler_spare_001')!.servers.set('stray', stray)
    expect(scene.plan(before)).toBe('drain and remove server hostler_spare_001/stray')
  })

  test('spares that the files got since the load, or have lost, do nothing', () => {
    expect(worker({ config: FRONTEND + SHOP }).plan(before)).toBe('')
    expect(worker(before).plan({ config: FRONTEND + SHOP })).toBe('')
  })

  const blog = (lines: string) => FRONTEND + SHOP + SPARES + BLOG.replace('  mode http\n', lines)
  const reloads: [title: string, config: string, map: string, reason: string][] = [
    [
      'that is not like a spare',
      blog('  mode http\n  option httpchk\n'),
      'blog',
      'backend blog is new, and no spare backend is like it: option httpchk',
    ],
    [
      'that shows its name',
      blog('  http-response set-header X-B %[be_name]\n'),
      'blog',
      'backend blog is new, and its lines use its name',
    ],
    ['that no map leads to', blog('  mode http\n'), 'shop', 'backend blog is new, and no map leads to it'],
    [
      'that a rule names',
      blog('  mode http\n').replace('be_sorry\n', 'blog\n'),
      'blog',
      'frontend hostler has changed: default_backend blog',
    ],
  ]
  for (const [title, config, backend, reason] of reloads) {
    test(`a new one ${title} takes a reload`, () => {
      expect(worker(before).plan({ config, map: `${MAP}blog.test ${backend}\n` })).toBe(`reload: ${reason}`)
    })
  }

  test('without spares it takes a reload', () => {
    const none = worker({ config: FRONTEND + SHOP })
    expect(none.plan({ config: FRONTEND + SHOP + BLOG, map: after.map })).toBe(
      'reload: backend blog is new, and no spare backend is free',
    )
  })

  const frames: [title: string, from: string, to: string, reason: string][] = [
    [
      'names come from the request itself',
      'req.hdr(host),lower,map_str(/h/domain.map)',
      'req.hdr(host),field(1,.)',
      'frontend hostler chooses backends by something else than a map: %[req.hdr(host),field(1,.)]',
    ],
    [
      'the name is shown to clients',
      '  bind :80\n',
      '  bind :80\n  http-response set-header X-B %[be_name]\n',
      'frontend hostler looks at the name of the backend: http-response set-header X-B %[be_name]',
    ],
    [
      'the map is used for more',
      '  bind :80\n',
      '  bind :80\n  http-request set-header X-B %[req.hdr(host),map_str(/h/domain.map)]\n',
      'frontend hostler looks at the name of the backend: http-request set-header X-B %[req.hdr(host),map_str(/h/domain.map)]',
    ],
  ]
  for (const [title, from, to, reason] of frames) {
    test(`where ${title}, new backends take a reload`, () => {
      const [one, two] = [before, after].map((scene) => ({ ...scene, config: scene.config.replace(from, to) }))
      expect(worker(one!).plan(two!)).toBe(`reload: backend blog is new, and ${reason}`)
    })
  }

  test('asking whether the map knows a host does no harm, nor does a log line with the name', () => {
    const more =
      '  bind :80\n  http-request deny if !{ req.hdr(host),map_str(/h/domain.map) -m found }\n  log-format "%[be_name]"\n'
    const [one, two] = [before, after].map((scene) => ({
      ...scene,
      config: scene.config.replace('  bind :80\n', more),
    }))
    expect(worker(one!).plan(two!)).toContain('hostler_spare_001')
  })

  test('a map behind an environment variable is understood when the variable is known', () => {
    const [one, two] = [before, after].map((scene) => ({
      ...scene,
      config: scene.config.replace('%[req.hdr(host),lower,map_str(/h/domain.map)]', '"%[req.hdr(host),map_str($MAP)]"'),
    }))
    const known = worker(one!, [2, 6], { MAP: '/h/domain.map' })
    known.model.maps.set('/h/domain.map', new Map([['shop.test', 'shop']]))
    expect(known.plan(two!)).toContain('hostler_spare_001')
  })

  test('one that a rule names as a fallback and that goes takes a reload', () => {
    const named = (scene: Scene) => ({ ...scene, config: scene.config.replace('domain.map)', 'domain.map,blog)') })
    expect(worker(named(after)).plan(named(before))).toBe(
      'reload: backend blog is gone, and the configuration names it',
    )
  })
})

describe('backends on 3.4', () => {
  const before = { config: FRONTEND + SHOP + SPARES }
  const after = { config: FRONTEND + SHOP + BLOG + SPARES, map: `${MAP}blog.test blog\n` }

  test('a new one is added from its defaults, and removed when its last server has gone', () => {
    const scene = worker(before, [3, 4])
    expect(scene.go(after)).toBe(
      [
        'add backend blog from defaults web',
        'add server blog/blog-1 at 10.0.1.1:80',
        'add blog.test → blog to domain.map',
      ].join('\n'),
    )
    expect(scene.go(after)).toBe('')
    expect(scene.go(before)).toBe('remove blog.test from domain.map\ndrain and remove server blog/blog-1')
    expect(scene.go(before)).toBe('remove backend blog')
    expect(scene.go(before)).toBe('')
  })

  test('one that was deleted by hand is added again', () => {
    const scene = worker(before, [3, 4])
    scene.go(after)
    scene.model.backends.delete('blog')
    expect(scene.plan(after)).toBe('add backend blog from defaults web\nadd server blog/blog-1 at 10.0.1.1:80')
  })

  test('one that says more than the command can, or has defaults without a name, takes a spare or a reload', () => {
    const timeout = BLOG.replace('  mode http\n', '  mode http\n  timeout server 1s\n')
    const [one, two] = [before, after].map((scene) => ({
      ...scene,
      config: scene.config.replace('defaults web', 'defaults'),
    }))
    expect(worker(before, [3, 4]).plan({ ...after, config: before.config + timeout })).toBe(
      'reload: backend blog is new, and no spare backend is like it: timeout server 1s',
    )
    expect(worker(one!, [3, 4]).plan(two!)).toContain('add server hostler_spare_001/blog-1')
  })

  test('one that was added cannot change its lines', () => {
    const scene = worker(before, [3, 4])
    scene.go(after)
    const timeout = BLOG.replace('  mode http\n', '  mode http\n  timeout server 1s\n')
    expect(scene.plan({ ...after, config: before.config + timeout })).toBe(
      'reload: the settings of backend blog have changed',
    )
  })
})
