import { afterAll, beforeAll } from '@jest/globals'
import { openGate } from '../sources/docker-gate.js'
import { importAppImage } from '../support/app-image.mjs'
import { startDockerd, type TestDockerd } from '../support/dockerd.js'
import { startPodman, type TestPodman } from '../support/podman.js'
import { describeWith } from '../support/servers.js'
import { describeRuntimeContract, type RuntimeHarness } from './contract.js'
import { dockerRuntime } from './docker-runtime.js'

async function openHarness(
  { docker, socket }: Pick<TestDockerd, 'docker' | 'socket'>,
  image: string,
): Promise<RuntimeHarness> {
  const gate = await openGate(socket)
  const removeAll = async () => {
    const all = await docker.listContainers({ all: true })
    await Promise.all(
      all.map(({ Id }) =>
        docker
          .getContainer(Id)
          .remove({ force: true })
          .catch(() => undefined),
      ),
    )
  }
  return {
    ...{ runtime: dockerRuntime(gate.host), image, networks: ['apps', 'more'] },
    url: async (id) => {
      const { NetworkSettings } = await docker.getContainer(id).inspect()
      return `http://${Object.values(NetworkSettings.Networks)[0]?.IPAddress}`
    },
    ...{ breakOff: gate.cut, mend: gate.mend, unreachable: /at unix:\/\/.* failed; see that the engine runs|cut off/ },
    close: async () => {
      await removeAll()
      await gate.close()
    },
  }
}

describeWith(['dockerd', 'busybox'], 'the docker runtime', () => {
  let engine: TestDockerd
  let image: string
  beforeAll(async () => {
    engine = await startDockerd()
    await engine.createNetwork('more')
    image = await importAppImage(engine.docker)
  })
  afterAll(() => engine?.stop())

  describeRuntimeContract('docker', () => openHarness(engine, image))
})

describeWith(['podman', 'netavark', 'busybox'], 'the docker runtime on Podman', () => {
  let engine: TestPodman
  let image: string
  beforeAll(async () => {
    engine = await startPodman()
    engine.createNetwork('more')
    image = await importAppImage(engine.docker)
  })
  afterAll(() => engine?.stop())

  describeRuntimeContract('podman', () => openHarness(engine, image))
})
