/** `parley call`, `pub`, `sub`, `send`, `serve` and `bench`, registered. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { isParleyError } from '../../../protocols/errors.ts'
import { parseSubscribeFrom, wholeNumber } from '../input/option-values.ts'
import { addJoinOptions, addNodeOptions, SECRETS_HELP } from './shared-options.ts'

const MAX_MS = 2 ** 31 - 1
const MIB = 1024 * 1024

const addCall = (program: Command): void => {
  addJoinOptions(
    program
      .command('call')
      .summary('call a method of an agent')
      .description(
        'Calls a method and prints its results as lines of JSON. A running node makes the call; with --join the command joins the mesh for a moment.',
      ),
  )
    .argument('<PROTOCOL.METHOD>', 'as in summarize.once; PROTOCOL@MAJOR.METHOD for another than the newest major')
    .argument('[JSON]', 'the input, - to read it from stdin (default: {})')
    .addOption(
      new Option('--to <name-or-id>', 'call this agent (default: the best of those that offer it)').conflicts('all'),
    )
    .option('--all', 'call all agents that offer it; each line is {peer,name,value} or {peer,name,error}')
    .option('--timeout <ms>', 'milliseconds until the call gives up', wholeNumber(1, MAX_MS))
    .option('--json', 'one line for each result on a terminal too')
    .addHelpText('after', SECRETS_HELP)
    .action(async (name, input, options) =>
      (await import('../commands/messaging/call-command.ts')).call(name, input, options),
    )
}

const addPub = (program: Command): void => {
  addNodeOptions(
    program
      .command('pub')
      .summary('publish events')
      .description('Publishes an event by a running node; with - each line of stdin is one.'),
  )
    .argument('<TOPIC>', 'as in tasks.status')
    .argument('[JSON]', 'the data, - to read a line of JSON for each event from stdin (default: {})')
    .option('--count <n>', 'publish it so many times', wholeNumber(1, 10_000_000))
    .option('--type <type>', 'type of the event')
    .option('--ttl <ms>', 'milliseconds after which it is worth nothing', wholeNumber(1, MAX_MS))
    .option('--json', 'print one line {topic,published,ms,id,recipients}')
    .action(async (topic, data, options) =>
      (await import('../commands/messaging/pub-command.ts')).pub(topic, data, options),
    )
}

const placeToStart = (text: string) => {
  try {
    return parseSubscribeFrom(text, Date.now())
  } catch (error) {
    if (!isParleyError(error)) throw error
    throw new InvalidArgumentError(`It is no place to start from: ${error.hint}.`)
  }
}

const addSub = (program: Command): void => {
  addNodeOptions(
    program
      .command('sub')
      .summary('hear events')
      .description('Prints the events of topics and patterns as a running node hears them, until Ctrl-C.'),
  )
    .argument('[PATTERN...]', 'as in tasks.status; * is one word, # the rest, as in tasks.#')
    .option(
      '--from <where>',
      'earliest, latest, last:N of each publisher, since:10m or since:2026-01-31T12:00:00Z (default: latest)',
      placeToStart,
    )
    .option('--count <n>', 'end after so many events', wholeNumber(1, MAX_MS))
    .option('--for <ms>', 'end after so many milliseconds', wholeNumber(1, MAX_MS))
    .option('--report-topics', 'show which topics are alive instead of the events (all topics, without a PATTERN)')
    .option('--json', 'print lines of JSON of type ready, event and missed; of a report one array at its end')
    .action(async (patterns, options) => (await import('../commands/messaging/sub-command.ts')).sub(patterns, options))
}

const addSend = (program: Command): void => {
  addNodeOptions(
    program
      .command('send')
      .summary('send a durable message')
      .description('Sends a message by a running node, which keeps it until it was processed.'),
  )
    .argument('<TYPE>', 'type of the message, as in order.placed')
    .argument('[JSON]', 'the data, - to read it from stdin (default: {})')
    .addOption(new Option('--to <name-or-id...>', 'to these peers').conflicts('capability'))
    .option('--capability <name>', 'to one of those who receive this type or serve this protocol (default: TYPE)')
    .addOption(
      new Option('--guarantee <guarantee>', 'how often it is processed (default: AT_LEAST_ONCE)').choices([
        'AT_MOST_ONCE',
        'AT_LEAST_ONCE',
        'EXACTLY_ONCE',
      ]),
    )
    .addOption(
      new Option(
        '--rebind',
        'with EXACTLY_ONCE: where its agent stays away (delivery.rebind_after_ms) another of the capability gets it, and both may have processed it (default: it becomes a dead letter)',
      ).conflicts('to'),
    )
    .option('--conversation <id>', 'messages of one conversation are processed in their order')
    .option('--header <name=value...>', 'headers of the message')
    .option('--schema-version <version>', 'version of its definition (default: 1.0.0)')
    .option('--ttl <ms>', 'milliseconds after which it is worth nothing', wholeNumber(1, MAX_MS))
    .option('--wait <ms>', 'wait so long until all have processed it', wholeNumber(1, MAX_MS))
    .option('--keep', 'keep it here although nobody receives this type yet, until somebody does')
    .option('--json', 'print one line {id,destinations,delivered}')
    .action(async (type, data, options) =>
      (await import('../commands/messaging/send-command.ts')).send(type, data, options),
    )
}

const addServe = (program: Command): void => {
  addJoinOptions(
    program
      .command('serve')
      .summary('answer a skill by running a program')
      .description(
        'Joins the mesh as an agent that runs a program for each request, without a shell: the input is JSON on its stdin, the output JSON from its stdout.',
      ),
  )
    .argument('<SKILL>', 'PROTOCOL or PROTOCOL.METHOD, as in upper or text.upper (method: run)')
    .argument('[ARGS...]', 'arguments of the program; all that stands behind --command PROGRAM')
    .requiredOption('--command <program>', 'the program; what follows it are its arguments')
    .option('--name <name>', 'name of the agent (default: that of the protocol)')
    .option('--listen <addr...>', 'multiaddresses to listen on (default: /ip4/127.0.0.1/tcp/0)')
    .option('--label <name=value...>', 'facts about it for the directory')
    .option('--description <text>', 'one sentence for people and models, shown in the directory')
    .option('--stream', 'each line that it writes is an item of a stream')
    .option('--timeout <ms>', 'milliseconds that one run has', wholeNumber(1, MAX_MS), 30_000)
    .option('--concurrency <n>', 'runs at the same time', wholeNumber(1, 1_024), 4)
    .option('--queue <n>', 'requests that wait for a run; further ones are refused', wholeNumber(0, 100_000), 100)
    .option('--max-output <bytes>', 'bytes that one run may write', wholeNumber(1, 64 * MIB), 4 * MIB)
    .option('--json', 'print one line {id,name,mesh,skill,version,pid} when it is ready')
    .addHelpText(
      'after',
      `
The program sees PARLEY_SKILL and PARLEY_CALLER. Where it ends with another exit code than 0, the caller gets an error
(APP001) with the last that it wrote to stderr. Where the caller gives up, it is ended with all that it has started.
${SECRETS_HELP}`,
    )
    .action(async (name, args, options) =>
      (await import('../commands/messaging/serve-command.ts')).serve(name, args, options),
    )
}

export const registerMessaging = (program: Command): void => {
  addCall(program)
  addPub(program)
  addSub(program)
  addSend(program)
  addServe(program)
}

export const registerBench = (program: Command): void => {
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

/** What follows `--command PROGRAM` is the program's, also what looks like an option. */
export const keepProgramArguments = (args: readonly string[]): string[] => {
  const at = args[0] === 'serve' ? args.findIndex((arg) => arg === '--command' || arg.startsWith('--command=')) : -1
  if (at === -1) return [...args]
  const end = args[at] === '--command' ? at + 2 : at + 1
  const rest = args.slice(end)
  return rest.length === 0 || rest[0] === '--' ? [...args] : [...args.slice(0, end), '--', ...rest]
}
