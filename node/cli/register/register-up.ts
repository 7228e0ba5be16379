/** The command `parley up`, registered. Keeps no state. */
import { type Command, Option } from 'commander'
import { LOG_LEVELS } from '../../observe/log/log-levels.ts'
import { PRESET_NAMES } from '../../options/preset-names.ts'
import { wholeNumber } from '../input/option-values.ts'
import { SECRETS_HELP } from './shared-options.ts'

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
    .addOption(
      new Option('--log <level>', 'least urgent level that is written to stderr (default: warn)').choices(LOG_LEVELS),
    )
    .option('--json', 'print one line {id,name,addresses,debugUrl,healthUrl,pid} instead of a text')
    .addHelpText('after', LAYERS)
    .addHelpText('after', SECRETS_HELP)
    .action(async (options) => (await import('../commands/lifecycle/up-command.ts')).up(options))
}
