/** The commands `parley init` and `parley config`, registered. Keeps no state. */
import type { Command } from 'commander'

export const registerInit = (program: Command): void => {
  program
    .command('init')
    .summary('write a commented configuration and a secret')
    .description(
      'Writes parley.yaml, with every line explained, and a secret of mode 0600; then `parley up` works at once.',
    )
    .option('--dir <dir>', 'folder for both (default: this one)')
    .option('--force', 'write the configuration anew; a secret that exists is kept')
    .option('--json', 'print one line {config,secret,madeSecret}')
    .action(async (options) => (await import('../commands/lifecycle/init-command.ts')).init(options))
}

export const registerConfig = (program: Command): void => {
  const group = program
    .command('config')
    .summary('what a node is configured with, and where that came from')
    .description('Shows and checks the configuration, and prints the reference of all keys.')
  group
    .command('show')
    .description('Shows each value that parley up of this folder would have, and where it came from; never a secret.')
    .option('--config <file>', 'configuration (default: parley.yaml of this folder, else what PARLEY_CONFIG names)')
    .option('--defaults', 'what is at its default too')
    .option('--json', 'print one line {file,values,notices}')
    .action(async (options) => (await import('../commands/lifecycle/config-command.ts')).showConfig(options))
  group
    .command('check')
    .description('Says whether a file can be used by itself: keys, types, contradictions, secret file.')
    .argument('<FILE>', 'a configuration')
    .option('--json', 'print one line {file,given,notices}')
    .action(async (file, options) =>
      (await import('../commands/lifecycle/config-command.ts')).checkConfig(file, options),
    )
  group
    .command('reference')
    .description('Prints the reference of all keys as Markdown.')
    .action(async () => (await import('../commands/lifecycle/config-command.ts')).printReference())
}
