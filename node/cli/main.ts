/**
 * The command `parley`: its commands, options and help. Commander reads the arguments; each command is a file beside
 * this one, and those that start a node are loaded when they are called. Keeps no state.
 */
import { Command, Option } from 'commander'
import { LEVELS } from '../log.ts'
import { PRESET_NAMES } from '../tuning.ts'
import { VERSION } from '../version.ts'
import { EXIT_HELP, report } from './outcome.ts'
import { whole } from './values.ts'

const SECRETS = `
The secret of the mesh is read from --secret-file, else from the variable PARLEY_SECRET, else from the file that
PARLEY_SECRET_FILE names; while it is changed, PARLEY_SECRET_OLD is accepted too. Without one a node talks to this
machine only.`

const addUp = (program: Command): void => {
  program
    .command('up')
    .summary('start a node that stays up')
    .description('Starts a node that stays up until Ctrl-C, with agents in worker threads if they are named.')
    .option('--name <name>', 'name of the node (default: node, or node-2, … where that one runs already)')
    .option('--mesh <name>', 'name of the mesh (default: parley)')
    .option('--listen <addr...>', 'multiaddresses to listen on (default: /ip4/127.0.0.1/tcp/0)')
    .option('--join <addr...>', 'members to find the others by: multiaddresses, names (/dns4/HOST/tcp/PORT), srv:NAME')
    .option('--secret-file <file...>', 'file with the secret of the mesh, mode 0600; new and old while it is changed')
    .option('--allow-weak-secret', 'accept a short or written secret beyond this machine')
    .option('--data-dir <dir>', 'folder for the identity and all state (default: .parley/NAME)')
    .option('--debug-port <n>', 'port of the debug endpoint, 0 for any free one', whole(0, 65_535), 0)
    .option(
      '--debug-host <host>',
      'address that it listens on; beyond 127.0.0.1 whoever reaches it can read it',
      '127.0.0.1',
    )
    .option('--no-debug', 'no debug endpoint')
    .addOption(new Option('--preset <name>', 'where the peers are').choices(PRESET_NAMES))
    .option('--label <name=value...>', 'facts about this node for the directory')
    .option('--drain <ms>', 'milliseconds that a stop waits for requests in work', whole(0, 3_600_000), 3_000)
    .option(
      '--stuck-after <ms>',
      'milliseconds without a sign of work after which an agent with requests counts as stuck (default: 30000)',
      whole(1_000, 3_600_000),
    )
    .option('--expect <n>', 'how many nodes found the mesh together; the same on each of them', whole(1, 64))
    .addOption(
      new Option('--voter <when>', 'whether it may vote for the coordinator (default: auto)').choices([
        'auto',
        'never',
      ]),
    )
    .option('--serve <file...>', 'agent modules to run, each in a worker thread')
    .addOption(
      new Option('--log <level>', 'least urgent level that is written to stderr (default: warn)').choices(LEVELS),
    )
    .option('--json', 'print one line {id,name,addresses,debugUrl,pid} instead of a text')
    .addHelpText('after', SECRETS)
    .action(async (options) => (await import('./up.ts')).up(options))
}

/** Which running node is asked. */
const addWhich = (command: Command): Command =>
  command
    .addOption(new Option('--url <url>', 'its debug endpoint').conflicts(['node', 'dataDir']))
    .addOption(new Option('--node <name>', 'its name, of those under .parley').conflicts('dataDir'))
    .option('--data-dir <dir>', 'its data directory')

/** How a command comes into the mesh. */
const addVisit = (command: Command): Command =>
  command
    .addOption(
      new Option('--join <addr...>', 'members to join by (default: the nodes that run here)').conflicts('node'),
    )
    .option('--node <name>', 'join by this node, of those under .parley')
    .option('--mesh <name>', 'name of the mesh (default: that of the running node, else parley)')
    .option('--secret-file <file...>', 'file with the secret of the mesh, mode 0600; new and old while it is changed')
    .option('--allow-weak-secret', 'accept a short or written secret beyond this machine')

const addCoordinator = (program: Command): void => {
  const group = program
    .command('coordinator')
    .summary('who coordinates the mesh, and who votes')
    .description('Shows who coordinates the mesh and who votes, as a running node sees it, and hands over.')
  const view = (name: 'status' | 'voters' | 'history', description: string): void => {
    addWhich(group.command(name).description(description))
      .option('--json', 'print JSON')
      .action(async (options) => {
        const views = await import('./coordinator.ts')
        const show = { status: views.showStatus, voters: views.showVoters, history: views.showHistory }
        await show[name](options)
      })
  }
  view('status', 'Shows who coordinates, in which epoch, and whether decisions are made.')
  view('voters', 'Shows who votes and who learns.')
  view('history', 'Shows who coordinated when.')
  addVisit(group.command('transfer').description('Has another voter coordinate from now on.'))
    .option('--to <name-or-id>', 'the voter that takes over (default: the one that is furthest)')
    .option('--timeout <ms>', 'milliseconds until it gives up', whole(1, 2 ** 31 - 1), 10_000)
    .option('--json', 'print one line {epoch,leader,before}')
    .addHelpText('after', SECRETS)
    .action(async (options) => (await import('./coordinator.ts')).transfer(options))
}

const addLeave = (program: Command): void => {
  program
    .command('leave')
    .summary('give the seat of a running node up for good')
    .description(
      'Has a running node give its seat up for good, so that the others decide without it; a stop keeps the seat.',
    )
    .addOption(new Option('--node <name>', 'its name, of those under .parley').conflicts('dataDir'))
    .option('--data-dir <dir>', 'its data directory')
    .option('--undo', 'it offers its seat again')
    .option('--mesh <name>', 'name of the mesh (default: that of the running node)')
    .option('--secret-file <file...>', 'file with the secret of the mesh, mode 0600; new and old while it is changed')
    .option('--allow-weak-secret', 'accept a short or written secret beyond this machine')
    .option('--timeout <ms>', 'milliseconds until it gives up', whole(1, 2 ** 31 - 1), 30_000)
    .option('--json', 'print one line {peer,name,givenUp,voters}')
    .addHelpText('after', SECRETS)
    .action(async (options) => (await import('./leave.ts')).leave(options))
}

const addDlq = (program: Command): void => {
  const group = program
    .command('dlq')
    .summary('dead letters: messages and calls that were given up')
    .description('Lists and shows the dead letters of a node, sends them again, and throws them away.')
  const add = (name: string, description: string): Command =>
    addWhich(group.command(name).description(description)).option('--json', 'print JSON')
  add('ls', 'Lists them, oldest first; those of a stopped node too, by --data-dir or --node.')
    .option('--type <type>', 'of this type; of calls it is call.PROTOCOL.METHOD')
    .option('--destination <peer>', 'to this peer')
    .option('--limit <n>', 'how many at most', whole(1, 1_000), 100)
    .option('--after <id>', 'those behind this one')
    .action(async (options) => (await import('./dlq.ts')).list(options))
  add('show', 'Shows one with what the message says; of a stopped node too, by --data-dir or --node.')
    .argument('<ID>', 'as listed')
    .action(async (id, options) => (await import('./dlq.ts')).show(id, options))
  add('retry', 'Sends one, or several, again as the messages that they were. Calls are left as they are.')
    .argument('[ID]', 'as listed')
    .addOption(new Option('--all', 'all of them').conflicts('type'))
    .option('--type <type>', 'all of this type')
    .option('--to <peer>', 'to this peer, instead of the one before')
    .action(async (id, options) => (await import('./dlq.ts')).retry(id, options))
  add('purge', 'Throws one, or all, away for good.')
    .argument('[ID]', 'as listed')
    .option('--all', 'all of them')
    .option('--yes', 'do not ask')
    .action(async (id, options) => (await import('./dlq.ts')).purge(id, options))
}

/** What a stopped node keeps on disk. */
const addStore = (program: Command): void => {
  const group = program
    .command('store')
    .summary('look at, repair or recover what a stopped node keeps on disk')
    .description(
      'Looks at, repairs or recovers what a node keeps: the journal, and messages. The node has to be stopped.',
    )
  const add = (name: string, description: string): Command =>
    group
      .command(name)
      .description(description)
      .addOption(new Option('--node <name>', 'its name, of those under .parley').conflicts('dataDir'))
      .option('--data-dir <dir>', 'its data directory')
      .option('--json', 'print one line of JSON')
  add('verify', 'Reads all of it and changes nothing; exit code 1 says that something is damaged.').action(
    async (options) => (await import('./store.ts')).verifyStore(options),
  )
  add('repair', 'Keeps what is good and puts the rest aside. The node then comes back as a new member that learns.')
    .option('--mesh-id <id>', 'the mesh that it is of, where its founding file is damaged')
    .action(async (options) => (await import('./store.ts')).repair(options))
  add('force-recover', 'Where most voters are lost for good: makes this node the only voter, of a new mesh.')
    .option('--yes', 'do not ask; needs --mesh-id')
    .option('--mesh-id <id>', 'the mesh that it is of, which is typed otherwise')
    .action(async (options) => (await import('./store.ts')).forceRecover(options))
  add('adopt', 'Puts all of it aside, and makes the node a new member of another mesh.')
    .requiredOption('--mesh-id <id>', 'the mesh that it is to be of')
    .option('--yes', 'do not ask')
    .action(async (options) => (await import('./store.ts')).adopt(options))
  add(
    'moved',
    'Says that the data directory was moved or copied while the node was stopped, and is the newest there is.',
  )
    .option('--yes', 'do not ask')
    .action(async (options) => (await import('./store.ts')).moved(options))
}

const addView = (program: Command, name: 'peers' | 'agents', description: string): void => {
  addWhich(program.command(name).summary(description).description(`Shows ${description}, as a running node sees it.`))
    .option('--json', 'print a JSON array')
    .action(async (options) => {
      const views = await import('./views.ts')
      await (name === 'peers' ? views.showPeers(options) : views.showAgents(options))
    })
}

const addCall = (program: Command): void => {
  addVisit(
    program
      .command('call')
      .summary('call a method of an agent')
      .description('Joins the mesh for a moment, calls a method, and prints its results as lines of JSON.'),
  )
    .argument('<PROTOCOL.METHOD>', 'as in summarize.once; PROTOCOL@MAJOR.METHOD for another than the newest major')
    .argument('[JSON]', 'the input, - to read it from stdin (default: {})')
    .addOption(
      new Option('--to <name-or-id>', 'call this agent (default: the best of those that offer it)').conflicts('all'),
    )
    .option('--all', 'call all agents that offer it; each line is {peer,name,value} or {peer,name,error}')
    .option('--timeout <ms>', 'milliseconds until the call gives up', whole(1, 2 ** 31 - 1))
    .option('--json', 'one line for each result on a terminal too')
    .addHelpText('after', SECRETS)
    .action(async (name, input, options) => (await import('./call.ts')).call(name, input, options))
}

export const createProgram = (): Command => {
  const program = new Command('parley')
  program
    .description('A peer-to-peer mesh for agents: no broker, mutual authentication, typed calls, streams and events.')
    .version(VERSION, '--version', 'print the version')
    .addHelpText('after', EXIT_HELP)
    .exitOverride()
    // What is wrong is printed by report(), in the form of all errors.
    .configureOutput({ outputError: () => {} })
  addUp(program)
  addView(program, 'peers', 'the peers that are connected')
  addView(program, 'agents', 'the agents of the mesh and what they offer')
  addCall(program)
  addCoordinator(program)
  addLeave(program)
  addDlq(program)
  addStore(program)
  program
    .command('secret')
    .summary('make a secret for a mesh')
    .description('Makes a secret of 32 random bytes. Whoever has it is a full member of the mesh.')
    .option('--out <file>', 'write it to this file with mode 0600; an existing file is left as it is')
    .action(async (options) => (await import('./make-secret.ts')).printSecret(options))
  for (const command of program.commands) command.addHelpText('after', EXIT_HELP)
  return program
}

/** What was written to it is with the reader, or nobody reads any more. */
const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    stream.once('error', () => resolve())
    stream.write('', () => resolve())
  })

/** Runs one command and ends the process: timers that a stopped node has left behind must not hold it up. */
export const main = async (args: readonly string[]): Promise<void> => {
  // A reader that leaves early, such as head, is no fault; a command that goes on printing listens for it itself.
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
  try {
    await createProgram().parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = report(error)
  }
  await Promise.all([flushed(process.stdout), flushed(process.stderr)])
  process.exit()
}
