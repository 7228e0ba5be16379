/** `parley peers` and `parley agents`, registered. Keeps no state. */
import type { Command } from 'commander'
import { addWhich } from './options.ts'

const addView = (program: Command, name: 'peers' | 'agents', description: string): void => {
  addWhich(program.command(name).summary(description).description(`Shows ${description}, as a running node sees it.`))
    .option('--json', 'print a JSON array')
    .action(async (options) => {
      const views = await import('./views.ts')
      await (name === 'peers' ? views.showPeers(options) : views.showAgents(options))
    })
}

export const addViews = (program: Command): void => {
  addView(program, 'peers', 'the peers that are connected')
  addView(program, 'agents', 'the agents of the mesh and what they offer')
}
