/** `parley coordinator` and `parley leave`, registered. Keeps no state. */
import { type Command, Option } from 'commander'
import { wholeNumber } from '../input/option-values.ts'
import { addJoinOptions, addNodeOrUrlOptions, SECRETS_HELP } from './shared-options.ts'

export const registerCoordinator = (program: Command): void => {
  const group = program
    .command('coordinator')
    .summary('who coordinates the mesh, and who votes')
    .description('Shows who coordinates the mesh and who votes, as a running node sees it, and hands over.')
  const view = (name: 'status' | 'voters' | 'history', description: string): void => {
    const command = addNodeOrUrlOptions(group.command(name).description(description))
    if (name !== 'status') command.option('--wide', 'whole ids, however long the lines get')
    command.option('--json', 'print JSON').action(async (options) => {
      const views = await import('../commands/agreement/coordinator-command.ts')
      const show = { status: views.showStatus, voters: views.showVoters, history: views.showHistory }
      await show[name](options)
    })
  }
  view('status', 'Shows who coordinates, in which epoch, and whether decisions are made.')
  view('voters', 'Shows who votes and who learns.')
  view('history', 'Shows who coordinated when.')
  addJoinOptions(
    group
      .command('transfer')
      .description('Has another voter coordinate from now on: by a running node, or with --join as a visitor.'),
  )
    .option('--to <name-or-id>', 'the voter that takes over (default: the one that is furthest)')
    .option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, 2 ** 31 - 1), 10_000)
    .option('--json', 'print one line {epoch,leader,before}')
    .addHelpText('after', SECRETS_HELP)
    .action(async (options) => (await import('../commands/agreement/coordinator-command.ts')).transfer(options))
}

export const registerLeave = (program: Command): void => {
  program
    .command('leave')
    .summary('give the seat of a running node up for good')
    .description(
      'Has a running node give its seat up for good, so that the others decide without it; a stop keeps the seat.',
    )
    .addOption(new Option('--node <name>', 'its name, of those under .parley').conflicts('dataDir'))
    .option('--data-dir <dir>', 'its data directory')
    .option('--undo', 'it offers its seat again')
    .option('--mesh <name>', 'name of the mesh (default: that of the running node)')
    .option('--secret-file <file...>', 'file with the secret of the mesh, mode 0600; new and old while it is changed')
    .option('--allow-weak-secret', 'accept a short or written secret beyond this machine')
    .option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, 2 ** 31 - 1), 30_000)
    .option('--json', 'print one line {peer,name,givenUp,voters}')
    .addHelpText('after', SECRETS_HELP)
    .action(async (options) => (await import('../commands/agreement/leave-command.ts')).leave(options))
}
