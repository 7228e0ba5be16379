/** `parley dlq`, registered. Keeps no state. */
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
