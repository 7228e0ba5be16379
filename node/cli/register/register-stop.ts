/** `parley stop`, registered. Keeps no state. */
import type { Command } from 'commander'
import { wholeNumber } from '../input/option-values.ts'

export const registerStop = (program: Command): void => {
  program
    .command('stop')
    .summary('stop running nodes in order')
    .description('Has nodes say goodbye and end the requests in work, and waits until their processes are gone.')
    .argument('[NAME...]', 'their names, of those under .parley (default: the only one that runs)')
    .option('--all', 'all that run here')
    .option('--data-dir <dir...>', 'by their data directories')
    .option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, 3_600_000), 60_000)
    .option('--json', 'print one array of {name,id,pid,ms}')
    .action(async (names, options) => (await import('../commands/lifecycle/stop-command.ts')).stop(names, options))
}
