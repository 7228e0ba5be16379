/**
 * The command `parley`: its commands, options and help. Commander reads the arguments by what register/ says of each
 * command; the command's own file, in commands/ or doctor/, is loaded when it is called.
 */
import { Argument, Command } from 'commander'
import { nearestName } from '../../protocols/unknown-keys.ts'
import { VERSION } from '../platform/version.ts'
import { EXIT_HELP, reportError, usageError } from './output/exit-codes.ts'
import {
  registerBudget,
  registerCoalition,
  registerCoordinator,
  registerJournal,
  registerLeave,
  registerPlan,
  registerResources,
} from './register/register-agreement.ts'
import { registerDlq, registerStore } from './register/register-disk.ts'
import { registerDescribe, registerDoctor, registerOutbox, registerViews } from './register/register-inspect.ts'
import {
  registerConfig,
  registerInit,
  registerSecret,
  registerStop,
  registerUp,
} from './register/register-lifecycle.ts'
import { keepProgramArguments, registerBench, registerMessaging } from './register/register-messaging.ts'
import { registerTasks } from './register/register-tasks.ts'

/** The shells that completion-command.ts writes for; not imported, since that file is loaded when it is needed. */
const SHELLS = ['bash', 'zsh', 'fish'] as const

const registerCompletion = (program: Command): void => {
  program
    .command('completion')
    .summary('completion for a shell')
    .description('Prints a script that completes commands, options and names of nodes.')
    .addArgument(new Argument('<SHELL>', 'which shell').choices(SHELLS))
    .addHelpText(
      'after',
      `
bash: source <(parley completion bash)
zsh:  parley completion zsh > FOLDER/_parley, with FOLDER in $fpath
fish: parley completion fish | source`,
    )
    .action(async (shell) => {
      const { completionScript } = await import('./commands/completion-command.ts')
      process.stdout.write(completionScript(shell, program))
    })
}

const registerExitCodes = (program: Command): void => {
  program
    .command('exit-codes')
    .summary('what exit codes mean')
    .description('Shows what the exit codes of all commands mean.')
    .action(() => void process.stdout.write(`${EXIT_HELP.trim()}\n`))
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
  registerInit(program)
  registerUp(program)
  registerConfig(program)
  registerStop(program)
  registerViews(program)
  registerMessaging(program)
  registerDescribe(program)
  registerJournal(program)
  registerTasks(program)
  registerResources(program)
  registerBudget(program)
  registerPlan(program)
  registerCoalition(program)
  registerBench(program)
  registerCoordinator(program)
  registerLeave(program)
  registerOutbox(program)
  registerDlq(program)
  registerDoctor(program)
  registerStore(program)
  registerSecret(program)
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
