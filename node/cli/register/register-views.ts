/** `parley id`, `peers`, `agents` and `top`, registered. Keeps no state. */
import type { Command } from 'commander'
import { wholeNumber } from '../input/option-values.ts'
import { addNodeOptions, addNodeOrUrlOptions } from './shared-options.ts'

const addView = (program: Command, name: 'peers' | 'agents', description: string): void => {
  addNodeOrUrlOptions(
    program.command(name).summary(description).description(`Shows ${description}, as a running node sees it.`),
  )
    .option('--wide', 'whole ids, however long the lines get')
    .option('--json', 'print a JSON array')
    .action(async (options) => {
      const views = await import('../commands/inspect/peers-and-agents-command.ts')
      await (name === 'peers' ? views.showPeers(options) : views.showAgents(options))
    })
}

export const registerViews = (program: Command): void => {
  addNodeOrUrlOptions(
    program
      .command('id')
      .summary('who a running node is, and how it is reached')
      .description('Shows the id, the addresses and the places of a running node.'),
  )
    .option('--json', 'print one line of JSON')
    .action(async (options) => (await import('../commands/inspect/id-command.ts')).showId(options))
  addView(program, 'peers', 'the peers that are connected')
  addView(program, 'agents', 'the agents of the mesh and what they offer')
  addNodeOptions(
    program
      .command('top')
      .summary('the mesh, live')
      .description('Shows agents, peers, load and rates as a running node sees them, until q or Ctrl-C.'),
  )
    .option('--interval <ms>', 'milliseconds between two looks', wholeNumber(100, 3_600_000), 1_000)
    .option('--once', 'print one table and end')
    .option('--count <n>', 'end after so many', wholeNumber(1, 1_000_000))
    .option('--json', 'print a line of JSON each interval')
    .action(async (options) => (await import('../commands/inspect/top-command.ts')).top(options))
}
