import { afterEach } from '@jest/globals'
import { createTown, type Town, type TownOptions } from './town.js'

/** Makes towns that are closed when the test is over. */
export function createTowns(): (build: TownOptions['build'], options?: Omit<TownOptions, 'build'>) => Promise<Town> {
  const towns: Town[] = []
  afterEach(async () => {
    for (const town of towns.splice(0)) await town.close()
  })
  return async (build, options = {}) => {
    const town = await createTown({ build, ...options })
    towns.push(town)
    return town
  }
}

/** Labels of a container that requests wake. */
export const web = { port: '80', wake: 'true' }

/** Labels of a service of a Compose project, without traffic of its own. */
export const service = (name: string, dependsOn = '', labels: Record<string, string> = {}) => ({
  port: 'none',
  wake: 'true',
  'com.docker.compose.project': 'shop',
  'com.docker.compose.service': name,
  ...(dependsOn && { 'com.docker.compose.depends_on': dependsOn }),
  ...labels,
})

/** What the engine was told to do. */
export const told = ({ engine }: Town): readonly string[] => engine.asked.filter((call) => !call.startsWith('inspect'))
