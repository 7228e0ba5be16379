/** `parley id`, `peers`, `agents`, `parts`, `top`, `describe`, `outbox` and `doctor`, registered. */
import { type Command, Option } from 'commander'
import { wholeNumber } from '../input/option-values.ts'
import { addNodeOptions, addNodeOrUrlOptions, SECRETS_HELP } from './shared-options.ts'

const WIDE = 'whole ids, however long the lines get'

const addView = (program: Command, name: 'peers' | 'agents', description: string): void => {
  addNodeOrUrlOptions(
    program.command(name).summary(description).description(`Shows ${description}, as a running node sees it.`),
  )
    .option('--wide', WIDE)
    .option('--json', 'print a JSON array')
    .action(async (options) => {
      const views = await import('../commands/inspect/views-command.ts')
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
    .action(async (options) => (await import('../commands/inspect/views-command.ts')).showId(options))
  addView(program, 'peers', 'the peers that are connected')
  addView(program, 'agents', 'the agents of the mesh and what they offer')
  addNodeOptions(
    program
      .command('parts')
      .summary('the parts of a running node, and what they show')
      .description('Lists the parts of a running node with their figures, or shows a view of one.'),
  )
    .argument('[PART]', 'this one alone, as in acme/tally')
    .argument('[VIEW]', 'what this view of it shows')
    .argument('[ID]', 'of what the view shows one of, as of a task')
    .option('--wide', 'no wrapping, however long the lines get')
    .option('--json', 'print JSON')
    .action(async (part, view, id, options) =>
      (await import('../commands/inspect/parts-command.ts')).showParts(part, view, id, options),
    )
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

export const registerDescribe = (program: Command): void => {
  addNodeOptions(
    program
      .command('describe')
      .summary('what an agent offers, or what a protocol is, with schemas')
      .description('Shows the protocols, methods and schemas of an agent, or a protocol and who offers it.'),
  )
    .argument('<AGENT|PROTOCOL>', 'name or id of an agent, or name of a protocol')
    .option('--json', 'print one line {kind,agents}')
    .action(async (what, options) => (await import('../commands/inspect/describe-command.ts')).describe(what, options))
}

export const registerOutbox = (program: Command): void => {
  addNodeOptions(
    program
      .command('outbox')
      .summary('messages that wait: for whom, since when, why')
      .description('Lists the messages that a running node has sent and that were not processed yet.'),
  )
    .option('--limit <n>', 'how many at most', wholeNumber(1, 1_000), 100)
    .option('--after <key>', 'those behind this one, as the list says at its end')
    .option('--wide', WIDE)
    .option('--json', 'print a JSON array')
    .action(async (options) => (await import('../commands/inspect/outbox-command.ts')).outbox(options))
}

export const registerDoctor = (program: Command): void => {
  program
    .command('doctor')
    .summary('find out what is wrong with a node, and what to do')
    .description(
      'Looks at Node, disk, identity, secret, configuration, ports, addresses, clocks, a node that runs, and the members to join, which it visits. It changes nothing. Where several nodes run in this folder and none is named, it looks at each of them.',
    )
    .option('--config <file>', 'configuration of the node (default: parley.yaml, where there is one)')
    .addOption(new Option('--node <name>', 'its name, of those under .parley').conflicts('dataDir'))
    .option('--data-dir <dir>', 'its data directory')
    .option('--mesh <name>', 'name of the mesh (default: that of the configuration, else of the running node)')
    .option('--join <addr...>', 'members to visit (default: those of the configuration, else the running node itself)')
    .option('--listen <addr...>', 'multiaddresses that it is to listen on')
    .option('--secret-file <file...>', 'file with the secret of the mesh, mode 0600; new and old while it is changed')
    .option('--allow-weak-secret', 'accept a short or written secret beyond this machine')
    .option(
      '--json',
      'print one line {verdict,tookMs,checks:[{node,name,verdict,seen,todo,tookMs}]}; node where there are several',
    )
    .addHelpText('after', `${SECRETS_HELP}\n\nExit code 1 says that a check failed; a warning does not.`)
    .action(async (options) => (await import('../doctor/doctor-command.ts')).doctor(options))
}
