import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { execa } from 'execa'
import { useBrowser } from '../support/browser.js'
import { startDockerd, type TestDockerd } from '../support/dockerd.js'
import { cleanEnvironment } from '../support/hostler.js'
import { freePort } from '../support/ports.js'
import { describeWith } from '../support/servers.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

const START = fileURLToPath(new URL('../../scripts/start.mjs', import.meta.url))

interface Demo {
  readonly port: number
  said(): string
  /** As Ctrl-C at a terminal does it: to every process of its group. @returns its exit code */
  interrupt(): Promise<number | null>
}

describeWith(['dockerd', 'haproxy', 'curl', 'chromium'], 'the demo (npm start)', () => {
  let dockerd: TestDockerd
  let child: ChildProcess | undefined
  const browser = useBrowser()

  beforeAll(async () => {
    dockerd = await startDockerd()
  })
  afterEach(async () => {
    if (child?.exitCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  })
  afterAll(() => dockerd?.stop())

  /** On ports of its own, with everything else as a newcomer has it. */
  async function start(dockerHost: string): Promise<Demo> {
    const port = await freePort()
    const { HOSTLER_PUBLIC_LISTEN: _, ...clean } = cleanEnvironment({
      DOCKER_HOST: dockerHost,
      // A name that the test's browser resolves to this machine too.
      HOSTLER_DOMAIN: 'demo.test',
      HOSTLER_HTTP_PORT: String(port),
      HOSTLER_PRIVATE_LISTEN: `127.0.0.1:${await freePort()}`,
      TMPDIR: tempDir('hostler-demo-test-'),
    })
    const started = spawn(process.execPath, [START, '--no-build'], {
      ...{ env: clean, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    })
    child = started
    let output = ''
    for (const stream of [started.stdout, started.stderr]) stream?.on('data', (chunk) => (output += chunk))
    await until('it says what to open', () => output.includes('Ctrl-C ends it') || started.exitCode !== null)
    if (started.exitCode !== null) throw new Error(output)
    return {
      ...{ port, said: () => output },
      async interrupt() {
        const exited = once(started, 'exit')
        process.kill(-(started.pid ?? 0), 'SIGINT')
        return (await exited)[0] as number | null
      },
    }
  }

  const demoContainer = async () => {
    const [found] = await dockerd.docker.listContainers({ all: true, filters: { label: ['hostler-demo'] } })
    return found
  }
  const curl = (port: number, name: string) =>
    execa('curl', [
      ...['-sS', '--max-time', '30', '-w', ' %{http_code}', '--resolve', `${name}.demo.test:${port}:127.0.0.1`],
      `http://${name}.demo.test:${port}/`,
    ])

  test('shows a container that sleeps until it is asked for, sleeps again, and is gone with all that it came with', async () => {
    const demo = await start(dockerd.host)
    expect(demo.said()).toContain(`curl -i http://sleepy.demo.test:${demo.port}`)
    expect((await curl(demo.port, 'hello')).stdout).toMatch(/Hello! .* 200$/s)
    expect((await demoContainer())?.State).toBe('created')

    const { stdout } = await curl(demo.port, 'sleepy')
    expect(stdout).toMatch(/This container was asleep\..* 200$/s)
    expect((await demoContainer())?.State).toBe('running')
    await until('it sleeps again', async () => (await demoContainer())?.State === 'exited', 40_000)

    const { page, complaints } = await browser.open()
    const first = await page.goto(`http://sleepy.demo.test:${demo.port}/`)
    expect([first?.status(), await page.title()]).toEqual([503, expect.stringContaining('sleepy')])
    await page.getByText('This container was asleep.').waitFor()
    expect(complaints).toEqual([])

    expect(await demo.interrupt()).toBe(0)
    expect(await demoContainer()).toBeUndefined()
    const networks = await dockerd.docker.listNetworks()
    expect(networks.filter(({ Name }) => Name.includes('demo'))).toEqual([])
    const images = await dockerd.docker.listImages({ all: true })
    expect(images.flatMap(({ RepoTags }) => RepoTags ?? [])).toEqual([dockerd.image])
  })

  test('goes without it where Docker does not answer, and says so in a line', async () => {
    const demo = await start('unix:///nowhere/docker.sock')
    expect(demo.said()).toMatch(/^ *No Docker answers on this machine .*$/m)
    expect(demo.said()).not.toContain('sleepy')
    expect((await curl(demo.port, 'hello')).stdout).toMatch(/ 200$/)
    expect(await demo.interrupt()).toBe(0)
  })
})
