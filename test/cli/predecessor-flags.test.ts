import { describe, expect, test } from '@jest/globals'
import { translateFlags } from '../../src/cli/predecessor-flags.js'

describe('the flags of predecessor 2', () => {
  test.each<[string, string[], string[]]>([
    [
      'its example for cookies',
      [
        '-cookie-fallback-url=https://localhost/home',
        '-traefik-check-enabled=true',
        '--userspass-file=/passwd.txt',
        '-enable-mgmt-auth=true',
      ],
      [
        'direct.fallbackUrl=https://localhost/home',
        'deploy.usersFile=/passwd.txt',
        'deploy.auth=true',
        'direct.cookieRouting=true',
      ],
    ],
    [
      'path routing',
      ['-use-path-routing', '-container-prefix', 'session'],
      ['direct.pathRouting=true', 'direct.containerPrefix=session'],
    ],
    [
      'cookie routing that is off',
      ['--use-cookie-routing=false', '-cookie-key=x'],
      ['direct.cookieRouting=false', 'direct.cookieKey=x'],
    ],
    [
      'how long a container may take, and what it must answer',
      ['-health-check-interval=10s', '-health-check-retries', '5', '--http-probe-ok-status=204'],
      ['direct.checkInterval=10s', 'direct.checkRetries=5', 'direct.checkStatus=204', 'direct.cookieRouting=true'],
    ],
    [
      'a time of several units',
      ['-token-expire-time=1h30m', '-http-probe-timeout=1m0.5s', '-container-prefix=m1s'],
      [
        ...['deploy.tokenTtl=5400000ms', 'readiness.timeout=60500ms'],
        ...['direct.containerPrefix=m1s', 'direct.cookieRouting=true'],
      ],
    ],
    ['one without an effect', ['-redirect-timeout', '2s'], ['direct.cookieRouting=true']],
  ])('%s becomes settings', (_, flags, settings) => {
    expect(translateFlags([...flags, 'run'])).toEqual([...settings.flatMap((text) => ['--set', text]), 'run'])
  })

  test('those without an effect are told of', () => {
    const told: string[] = []
    translateFlags(['-redirect-timeout=2s', '--traefik-platform', 'docker', '-cookie-key=a', 'run'], (line) =>
      told.push(line),
    )
    expect(told).toEqual([
      '-redirect-timeout has no effect any more; leave it out',
      '--traefik-platform has no effect any more; leave it out',
    ])
  })

  test('everything else is left as it is', () => {
    const args = ['--config', 'a.yml', '--proxy=haproxy', 'status', '--json', '-h']
    expect(translateFlags(args)).toEqual(args)
  })

  test('a flag without its value is an error', () => {
    expect(() => translateFlags(['-cookie-key'])).toThrow('-cookie-key needs a value')
  })
})
