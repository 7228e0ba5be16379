/** `parley init`, `up`, `config`, `stop` and `secret`, registered. */
import { type Command, Option } from 'commander'
import { LOG_LEVELS } from '../../observe/log/log-levels.ts'
import { PRESET_NAMES } from '../../options/preset-names.ts'
import { wholeNumber } from '../input/option-values.ts'
import { SECRETS_HELP } from './shared-options.ts'

export const registerInit = (program: Command): void => {
  program
    .command('init')
    .summary('write a commented configuration and a secret')
    .description(
      'Writes parley.yaml, with every line explained, and a secret of mode 0600; then `parley up` works at once.',
    )
    .option('--dir <dir>', 'folder for both (default: this one)')
    .option('--force', 'write the configuration anew; a secret that exists is kept')
    .option('--json', 'print one line {config,secret,madeSecret}')
    .action(async (options) => (await import('../commands/lifecycle/init-command.ts')).init(options))
}

const LAYERS = `
What is given here stands above the variables PARLEY_… (PARLEY_LIMITS__MAX_CONNECTIONS), those above the file of --config.
parley config show tells where each value comes from. SIGHUP has a running node read them again.`

export const registerUp = (program: Command): void => {
  program
    .command('up')
    .summary('start a node that stays up')
    .description('Starts a node that stays up until Ctrl-C, with agents in worker threads if they are named.')
    .option('--config <file>', 'configuration (default: parley.yaml of this folder, else what PARLEY_CONFIG names)')
    .option('--name <name>', 'name of the node (default: node, or node-2, … where that one runs already)')
    .option('--mesh <name>', 'name of the mesh (default: parley)')
    .option('--listen <addr...>', 'multiaddresses to listen on (default: /ip4/127.0.0.1/tcp/0)')
    .option('--join <addr...>', 'members to find the others by: multiaddresses, names (/dns4/HOST/tcp/PORT), srv:NAME')
    .option('--mdns', 'find members on the local network by multicast DNS')
    .option('--no-local', 'do not look for nodes of this machine and user that have the same secret')
    .option('--secret-file <file...>', 'file with the secret of the mesh, mode 0600; new and old while it is changed')
    .option('--allow-weak-secret', 'accept a short or written secret beyond this machine')
    .option('--data-dir <dir>', 'folder for the identity and all state (default: .parley/NAME)')
    .option('--debug-port <n>', 'port of the debug endpoint, 0 for any free one (default: 0)', wholeNumber(0, 65_535))
    .option(
      '--debug-host <host>',
      'address that it listens on; beyond 127.0.0.1 whoever reaches it can read it (default: 127.0.0.1)',
    )
    .option('--no-debug', 'no debug endpoint')
    .option(
      '--health-port <n>',
      'port of /healthz, /readyz and /metrics for probes and scrapers, 0 for any free one (default: none)',
      wholeNumber(0, 65_535),
    )
    .option('--health-host <host>', 'address that it listens on, 0.0.0.0 for other machines (default: 127.0.0.1)')
    .option('--no-health', 'no health listener, whatever the configuration says')
    .addOption(new Option('--preset <name>', 'where the peers are').choices(PRESET_NAMES))
    .option('--label <name=value...>', 'facts about this node for the directory')
    .option(
      '--drain <ms>',
      'milliseconds that a stop waits for requests in work (default: 3000)',
      wholeNumber(0, 3_600_000),
    )
    .option(
      '--stuck-after <ms>',
      'milliseconds without a sign of work after which an agent with requests counts as stuck (default: 30000)',
      wholeNumber(1_000, 3_600_000),
    )
    .option('--expect <n>', 'how many nodes found the mesh together; the same on each of them', wholeNumber(1, 64))
    .addOption(
      new Option('--voter <when>', 'whether it may vote for the coordinator (default: auto)').choices([
        'auto',
        'never',
      ]),
    )
    .option('--serve <file...>', 'agent modules to run, each in a worker thread')
    .option('--part <file...>', 'modules of parts that the node has; the default export of each is a part')
    .addOption(
      new Option('--log <level>', 'least urgent level that is written to stderr (default: warn)').choices(LOG_LEVELS),
    )
    .option('--json', 'print one line {id,name,addresses,debugUrl,healthUrl,pid} instead of a text')
    .addHelpText('after', LAYERS)
    .addHelpText('after', SECRETS_HELP)
    .action(async (options) => (await import('../commands/lifecycle/up-command.ts')).up(options))
}

export const registerConfig = (program: Command): void => {
  const group = program
    .command('config')
    .summary('what a node is configured with, and where that came from')
    .description('Shows and checks the configuration, and prints the reference of all keys.')
  group
    .command('show')
    .description('Shows each value that parley up of this folder would have, and where it came from; never a secret.')
    .option('--config <file>', 'configuration (default: parley.yaml of this folder, else what PARLEY_CONFIG names)')
    .option('--defaults', 'what is at its default too')
    .option('--json', 'print one line {file,values,notices}')
    .action(async (options) => (await import('../commands/lifecycle/config-command.ts')).showConfig(options))
  group
    .command('check')
    .description('Says whether a file can be used by itself: keys, types, contradictions, secret file.')
    .argument('<FILE>', 'a configuration')
    .option('--json', 'print one line {file,given,notices}')
    .action(async (file, options) =>
      (await import('../commands/lifecycle/config-command.ts')).checkConfig(file, options),
    )
  group
    .command('reference')
    .description('Prints the reference of all keys as Markdown.')
    .action(async () => (await import('../commands/lifecycle/config-command.ts')).printReference())
}

export const registerStop = (program: Command): void => {
  program
    .command('stop')
    .summary('stop running nodes in order')
    .description('Has nodes say goodbye and end the requests in work, and waits until their processes are gone.')
    .argument('[NAME...]', 'their names, of those under .parley (default: the only one that runs)')
    .option('--all', 'all that run here')
    .option('--data-dir <dir...>', 'by their data directories')
    .option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, 3_600_000), 60_000)
    .option('--json', 'print one array of {name,id,pid,ms}')
    .action(async (names, options) => (await import('../commands/lifecycle/stop-command.ts')).stop(names, options))
}

export const registerSecret = (program: Command): void => {
  program
    .command('secret')
    .summary('make a secret for a mesh')
    .description('Makes a secret of 32 random bytes. Whoever has it is a full member of the mesh.')
    .option('--out <file>', 'write it to this file with mode 0600; an existing file is left as it is')
    .action(async (options) => (await import('../commands/lifecycle/init-command.ts')).printSecret(options))
}
