/** `parley store`, registered. Keeps no state. */
import { type Command, Option } from 'commander'

/** What a stopped node keeps on disk. */
export const registerStore = (program: Command): void => {
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
    async (options) => (await import('../commands/store/store-command.ts')).verifyStore(options),
  )
  add('repair', 'Keeps what is good and puts the rest aside. The node then comes back as a new member that learns.')
    .option('--mesh-id <id>', 'the mesh that it is of, where its founding file is damaged')
    .action(async (options) => (await import('../commands/store/store-command.ts')).repairStoppedStore(options))
  add('force-recover', 'Where most voters are lost for good: makes this node the only voter, of a new mesh.')
    .option('--yes', 'do not ask; needs --mesh-id')
    .option('--mesh-id <id>', 'the mesh that it is of, which is typed otherwise')
    .action(async (options) => (await import('../commands/store/store-command.ts')).forceRecover(options))
  add('adopt', 'Puts all of it aside, and makes the node a new member of another mesh.')
    .requiredOption('--mesh-id <id>', 'the mesh that it is to be of')
    .option('--yes', 'do not ask')
    .action(async (options) => (await import('../commands/store/store-command.ts')).adopt(options))
  add('accept-loss', 'Lets a node start although something that it alone had is gone for good, and says what.')
    .option('--yes', 'do not ask')
    .action(async (options) => (await import('../commands/store/store-command.ts')).acceptLoss(options))
  add(
    'moved',
    'Says that the data directory was moved or copied while the node was stopped, and is the newest there is.',
  )
    .option('--yes', 'do not ask')
    .action(async (options) => (await import('../commands/store/store-command.ts')).acknowledgeMove(options))
}
