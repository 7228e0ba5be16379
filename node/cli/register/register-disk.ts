/** `parley dlq` and `store`, registered. */
import { type Command, Option } from 'commander'
import { wholeNumber } from '../input/option-values.ts'
import { addNodeOrUrlOptions } from './shared-options.ts'

export const registerDlq = (program: Command): void => {
  const group = program
    .command('dlq')
    .summary('dead letters: messages and calls that were given up')
    .description('Lists and shows the dead letters of a node, sends them again, and throws them away.')
  const add = (name: string, description: string): Command =>
    addNodeOrUrlOptions(group.command(name).description(description)).option('--json', 'print JSON')
  add('ls', 'Lists them, oldest first; those of a stopped node too, by --data-dir or --node.')
    .option('--type <type>', 'of this type; of calls it is call.PROTOCOL.METHOD')
    .option('--destination <peer>', 'to this peer')
    .option('--limit <n>', 'how many at most', wholeNumber(1, 1_000), 100)
    .option('--after <id>', 'those behind this one')
    .option('--wide', 'whole ids, however long the lines get')
    .action(async (options) => (await import('../commands/dlq/dlq-command.ts')).listDeadLetters(options))
  add('show', 'Shows one with what the message says; of a stopped node too, by --data-dir or --node.')
    .argument('<ID>', 'as listed')
    .action(async (id, options) => (await import('../commands/dlq/dlq-command.ts')).showDeadLetter(id, options))
  add('retry', 'Sends one, or several, again as the messages that they were. Calls are left as they are.')
    .argument('[ID]', 'as listed')
    .addOption(new Option('--all', 'all of them').conflicts('type'))
    .option('--type <type>', 'all of this type')
    .option('--to <name-or-id>', 'to this peer, instead of the one before')
    .action(async (id, options) => (await import('../commands/dlq/dlq-command.ts')).retryDeadLetters(id, options))
  add('purge', 'Throws one, or all, away for good.')
    .argument('[ID]', 'as listed')
    .option('--all', 'all of them')
    .option('--yes', 'do not ask')
    .action(async (id, options) => (await import('../commands/dlq/dlq-command.ts')).purgeDeadLetters(id, options))
}

/** What a stopped node keeps on disk. */
export const registerStore = (program: Command): void => {
  const group = program
    .command('store')
    .summary('back up, look at, repair or recover what a node keeps on disk')
    .description(
      'Backs up, looks at, repairs or recovers what a node keeps: the journal, and messages. Besides for a backup the node has to be stopped.',
    )
  const add = (name: string, description: string): Command =>
    group
      .command(name)
      .description(description)
      .addOption(new Option('--node <name>', 'its name, of those under .parley').conflicts('dataDir'))
      .option('--data-dir <dir>', 'its data directory')
      .option('--json', 'print one line of JSON')
  add('backup', 'Copies all of it into a new folder, while the node runs or not, and reads the copy again.')
    .argument('<DIR>', 'a folder that does not exist')
    .action(async (dir, options) => (await import('../commands/store/store-copies.ts')).backUpStore(dir, options))
  add('verify', 'Reads all of it and changes nothing; exit code 1 says that something is damaged.').action(
    async (options) => (await import('../commands/store/store-verify.ts')).verifyStore(options),
  )
  add('repair', 'Keeps what is good and puts the rest aside. The node then comes back as a new member that learns.')
    .option('--mesh-id <id>', 'the mesh that it is of, where its founding file is damaged')
    .action(async (options) => (await import('../commands/store/store-repair.ts')).repairStoppedStore(options))
  add('force-recover', 'Where most voters are lost for good: makes this node the only voter, of a new mesh.')
    .option('--yes', 'do not ask; needs --mesh-id')
    .option('--mesh-id <id>', 'the mesh that it is of, which is typed otherwise')
    .action(async (options) => (await import('../commands/store/store-recover.ts')).forceRecover(options))
  add('adopt', 'Puts all of it aside, and makes the node a new member of another mesh.')
    .requiredOption('--mesh-id <id>', 'the mesh that it is to be of')
    .option('--yes', 'do not ask')
    .action(async (options) => (await import('../commands/store/store-recover.ts')).adopt(options))
  add('accept-loss', 'Lets a node start although something that it alone had is gone for good, and says what.')
    .option('--yes', 'do not ask')
    .action(async (options) => (await import('../commands/store/store-accept-loss.ts')).acceptLoss(options))
  add(
    'moved',
    'Says that the data directory was moved or copied while the node was stopped, and is the newest there is.',
  )
    .option('--yes', 'do not ask')
    .action(async (options) => (await import('../commands/store/store-copies.ts')).acknowledgeMove(options))
}
