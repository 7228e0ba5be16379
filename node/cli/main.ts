/**
 * The command `parley`: its commands, options and help. Commander reads the arguments; each command is a file beside
 * this one, and those that start a node are loaded when they are called. Keeps no state.
 */
import { Command } from 'commander'
import { nearest } from '../../protocols/nearest.ts'
import { VERSION } from '../version.ts'
import { addCompletion, addExitCodes } from './add-completion.ts'
import { addCoordinator, addLeave } from './add-coordinator.ts'
import { addDlq } from './add-dlq.ts'
import { addDoctor } from './add-doctor.ts'
import { addStop } from './add-stop.ts'
import { addStore } from './add-store.ts'
import { addTalk, keepProgramArguments } from './add-talk.ts'
import { addOutbox, addTools } from './add-tools.ts'
import { addUp } from './add-up.ts'
import { addViews } from './add-views.ts'
import { addConfig, addInit } from './config-commands.ts'
import { EXIT_HELP, report, usage } from './outcome.ts'

export const createProgram = (): Command => {
  const program = new Command('parley')
  program
    .description('A peer-to-peer mesh for agents: no broker, mutual authentication, typed calls, streams and events.')
    .version(VERSION, '--version', 'print the version')
    .addHelpText('after', EXIT_HELP)
    .exitOverride()
    // What is wrong is printed by report(), in the form of all errors.
    .configureOutput({ outputError: () => {} })
  addInit(program)
  addUp(program)
  addConfig(program)
  addStop(program)
  addViews(program)
  addTalk(program)
  addTools(program)
  addCoordinator(program)
  addLeave(program)
  addOutbox(program)
  addDlq(program)
  addDoctor(program)
  addStore(program)
  program
    .command('secret')
    .summary('make a secret for a mesh')
    .description('Makes a secret of 32 random bytes. Whoever has it is a full member of the mesh.')
    .option('--out <file>', 'write it to this file with mode 0600; an existing file is left as it is')
    .action(async (options) => (await import('./make-secret.ts')).printSecret(options))
  addCompletion(program)
  addExitCodes(program)
  for (const command of program.commands) command.addHelpText('after', EXIT_HELP)
  return program
}

/** `help` shows what it was asked for, or says what there is in place of it. @throws MSG001 */
const checkHelp = (program: Command, [first, topic]: readonly string[]): void => {
  if (first !== 'help' || topic === undefined || topic.startsWith('-')) return
  const names = program.commands.map((command) => command.name())
  if (topic === 'help' || names.includes(topic)) return
  const guess = nearest(topic, names)
  throw usage(
    `unknown command '${topic}'`,
    guess === undefined ? 'parley --help lists what there is' : `did you mean ${guess}?`,
  )
}

/** What was written to it is with the reader, or nobody reads any more. */
const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    stream.once('error', () => resolve())
    stream.write('', () => resolve())
  })

/** Its results, and so its errors, are for a program; what stands behind `--` is another one's. */
const wantsJson = (args: readonly string[]): boolean =>
  args.slice(0, args.includes('--') ? args.indexOf('--') : args.length).includes('--json')

/** Runs one command and ends the process: timers that a stopped node has left behind must not hold it up. */
export const main = async (given: readonly string[]): Promise<void> => {
  const args = keepProgramArguments(given)
  // A reader that leaves early, such as head, is no fault; a command that goes on printing listens for it itself.
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
  try {
    const program = createProgram()
    checkHelp(program, args)
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = report(error, wantsJson(args))
  }
  await Promise.all([flushed(process.stdout), flushed(process.stderr)])
  process.exit()
}
