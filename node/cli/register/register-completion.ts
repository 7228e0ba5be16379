/** `parley completion` and `parley exit-codes`, registered. Keeps no state. */
import { Argument, type Command } from 'commander'
import { EXIT_HELP } from '../output/exit-codes.ts'

/** The shells that completion.ts writes for; not imported, since that is loaded when it is needed. */
const SHELLS = ['bash', 'zsh', 'fish'] as const

export const registerCompletion = (program: Command): void => {
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
      const { completionScript } = await import('../commands/completion-command.ts')
      process.stdout.write(completionScript(shell, program))
    })
}

export const registerExitCodes = (program: Command): void => {
  program
    .command('exit-codes')
    .summary('what exit codes mean')
    .description('Shows what the exit codes of all commands mean.')
    .action(() => void process.stdout.write(`${EXIT_HELP.trim()}\n`))
}
