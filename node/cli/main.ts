/**
 * The command `parley`: its commands, options and help. Commander reads the arguments; each command is a file beside
 * this one, and those that start a node are loaded when they are called. Keeps no state.
 */
import { Command } from 'commander'
import { nearestName } from '../../protocols/unknown-keys.ts'
import { VERSION } from '../platform/version.ts'
import { EXIT_HELP, reportError, usageError } from './output/exit-codes.ts'
import { registerCompletion, registerExitCodes } from './register/register-completion.ts'
import { registerConfig, registerInit } from './register/register-config.ts'
import { registerCoordinator, registerLeave } from './register/register-coordinator.ts'
import { registerDlq } from './register/register-dlq.ts'
import { registerDoctor } from './register/register-doctor.ts'
import { keepProgramArguments, registerMessaging } from './register/register-messaging.ts'
import { registerStop } from './register/register-stop.ts'
import { registerStore } from './register/register-store.ts'
import { registerOutbox, registerTools } from './register/register-tools.ts'
import { registerUp } from './register/register-up.ts'
import { registerViews } from './register/register-views.ts'

export const createProgram = (): Command => {
  const program = new Command('parley')
  program
    .description('A peer-to-peer mesh for agents: no broker, mutual authentication, typed calls, streams and events.')
    .version(VERSION, '--version', 'print the version')
    .addHelpText('after', EXIT_HELP)
    .exitOverride()
    // What is wrong is printed by report(), in the form of all errors.
    .configureOutput({ outputError: () => {} })
  registerInit(program)
  registerUp(program)
  registerConfig(program)
  registerStop(program)
  registerViews(program)
  registerMessaging(program)
  registerTools(program)
  registerCoordinator(program)
  registerLeave(program)
  registerOutbox(program)
  registerDlq(program)
  registerDoctor(program)
  registerStore(program)
  program
    .command('secret')
    .summary('make a secret for a mesh')
    .description('Makes a secret of 32 random bytes. Whoever has it is a full member of the mesh.')
    .option('--out <file>', 'write it to this file with mode 0600; an existing file is left as it is')
    .action(async (options) => (await import('./commands/lifecycle/secret-command.ts')).printSecret(options))
  registerCompletion(program)
  registerExitCodes(program)
  for (const command of program.commands) command.addHelpText('after', EXIT_HELP)
  return program
}

/** `help` shows what it was asked for, or says what there is in place of it. @throws MSG001 */
const checkHelp = (program: Command, [first, topic]: readonly string[]): void => {
  if (first !== 'help' || topic === undefined || topic.startsWith('-')) return
  const names = program.commands.map((command) => command.name())
  if (topic === 'help' || names.includes(topic)) return
  const guess = nearestName(topic, names)
  throw usageError(
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
    process.exitCode = reportError(error, wantsJson(args))
  }
  await Promise.all([flushed(process.stdout), flushed(process.stderr)])
  process.exit()
}
