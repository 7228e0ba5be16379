/** `parley doctor`, registered. Keeps no state. */
import { type Command, Option } from 'commander'
import { SECRETS_HELP } from './shared-options.ts'

export const registerDoctor = (program: Command): void => {
  program
    .command('doctor')
    .summary('find out what is wrong with a node, and what to do')
    .description(
      'Looks at Node, disk, identity, secret, configuration, ports, addresses, clocks, a node that runs, and the members to join, which it visits. It changes nothing. Where several nodes run in this folder and none is named, it looks at each of them.',
    )
    .option('--config <file>', 'configuration of the node (default: parley.yaml, where there is one)')
    .addOption(new Option('--node <name>', 'its name, of those under .parley').conflicts('dataDir'))
    .option('--data-dir <dir>', 'its data directory')
    .option('--mesh <name>', 'name of the mesh (default: that of the configuration, else of the running node)')
    .option('--join <addr...>', 'members to visit (default: those of the configuration, else the running node itself)')
    .option('--listen <addr...>', 'multiaddresses that it is to listen on')
    .option('--secret-file <file...>', 'file with the secret of the mesh, mode 0600; new and old while it is changed')
    .option('--allow-weak-secret', 'accept a short or written secret beyond this machine')
    .option(
      '--json',
      'print one line {verdict,tookMs,checks:[{node,name,verdict,seen,todo,tookMs}]}; node where there are several',
    )
    .addHelpText('after', `${SECRETS_HELP}\n\nExit code 1 says that a check failed; a warning does not.`)
    .action(async (options) => (await import('../doctor/doctor-command.ts')).doctor(options))
}
