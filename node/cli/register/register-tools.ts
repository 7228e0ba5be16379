/** `parley outbox`, `describe`, `journal` and `bench`, registered. Keeps no state. */
import type { Command } from 'commander'
import { wholeNumber } from '../input/option-values.ts'
import { addNodeOptions } from './shared-options.ts'

const MAX_MS = 2 ** 31 - 1
const WIDE = 'whole ids, however long the lines get'

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

const addJournal = (program: Command): void => {
  const group = program
    .command('journal')
    .summary('records that the mesh agreed on')
    .description('Reads, writes and follows the records of the journal, by a running node.')
  const add = (name: string, description: string): Command =>
    addNodeOptions(group.command(name).description(description))
  const withLimit = (command: Command): Command =>
    command.option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, MAX_MS), 30_000)
  const ifVersion = ['--if-version <n>', 'only where this is its version; 0: where there is none'] as const

  withLimit(add('get', 'Prints the value of a record.'))
    .argument('<KEY>', 'as in config/limits')
    .option('--json', 'print one line {key,version,value}')
    .action(async (key, options) =>
      (await import('../commands/agreement/journal-records-command.ts')).getRecord(key, options),
    )
  withLimit(add('ls', 'Lists the records whose keys begin with PREFIX.'))
    .argument('[PREFIX]', "all but the mesh's own unless given; those begin with $")
    .option('--wide', 'no wrapping, however long the lines get')
    .option('--json', 'print a JSON array of {key,version,value}')
    .action(async (prefix, options) =>
      (await import('../commands/agreement/journal-records-command.ts')).listRecords(prefix, options),
    )
  withLimit(add('put', 'Writes a record.'))
    .argument('<KEY>', 'as in config/limits')
    .argument('<JSON>', 'the value, - to read it from stdin')
    .option(...ifVersion, wholeNumber(0, MAX_MS))
    .option('--json', 'print one line {key,version}')
    .action(async (key, value, options) =>
      (await import('../commands/agreement/journal-records-command.ts')).putRecord(key, value, options),
    )
  withLimit(add('rm', 'Deletes a record.'))
    .argument('<KEY>', 'as in config/limits')
    .option(...ifVersion, wholeNumber(0, MAX_MS))
    .option('--json', 'print one line {key,version,existed}')
    .action(async (key, options) =>
      (await import('../commands/agreement/journal-records-command.ts')).removeRecord(key, options),
    )
  add('watch', 'Prints the records, then each change as it is decided, until Ctrl-C.')
    .argument('[PREFIX]', 'of the keys; all unless given')
    .option('--from <version>', 'only changes after this version', wholeNumber(0, MAX_MS))
    .option('--count <n>', 'end after so many changes', wholeNumber(1, MAX_MS))
    .option('--json', 'print lines of JSON of type records and change')
    .action(async (prefix, options) =>
      (await import('../commands/agreement/journal-records-command.ts')).watchRecords(prefix, options),
    )
}

export const registerTools = (program: Command): void => {
  addNodeOptions(
    program
      .command('describe')
      .summary('what an agent offers, or what a protocol is, with schemas')
      .description('Shows the protocols, methods and schemas of an agent, or a protocol and who offers it.'),
  )
    .argument('<AGENT|PROTOCOL>', 'name or id of an agent, or name of a protocol')
    .option('--json', 'print one line {kind,agents}')
    .action(async (what, options) => (await import('../commands/inspect/describe-command.ts')).describe(what, options))
  addJournal(program)
  addNodeOptions(
    program
      .command('bench')
      .summary('measure calls a second and latency of a method')
      .description('Has a running node call a method again and again for some seconds, and tells how fast it was.'),
  )
    .argument('<PROTOCOL.METHOD>', 'a method with one answer, as in summarize.once')
    .argument('[JSON]', 'the input of each call, - to read it from stdin (default: {})')
    .option('--to <name-or-id>', 'call this agent (default: the best of those that offer it, for each call)')
    .option('--for <ms>', 'milliseconds that it goes on', wholeNumber(100, 600_000), 5_000)
    .option('--concurrency <n>', 'calls at a time', wholeNumber(1, 256), 16)
    .option('--timeout <ms>', 'milliseconds until a call gives up', wholeNumber(1, MAX_MS))
    .option('--json', 'print lines of JSON of type figures, each second, and result')
    .action(async (name, input, options) => (await import('../commands/bench-command.ts')).bench(name, input, options))
}
