/** Options that several commands have. */
import { type Command, Option } from 'commander'

export const SECRETS_HELP = `
The secret of the mesh is read from --secret-file, else from the variable PARLEY_SECRET, else from the file that
PARLEY_SECRET_FILE names, else from the configuration (--config, or parley.yaml of this folder); while it is changed,
PARLEY_SECRET_OLD is accepted too. Without one a node talks to this machine only.`

/** Which running node is asked. */
export const addNodeOrUrlOptions = (command: Command): Command =>
  command
    .addOption(new Option('--url <url>', 'its debug endpoint').conflicts(['node', 'dataDir']))
    .addOption(new Option('--node <name>', 'its name, of those under .parley').conflicts('dataDir'))
    .option('--data-dir <dir>', 'its data directory')

/** Which running node does it, by its control socket. */
export const addNodeOptions = (command: Command): Command =>
  command
    .addOption(new Option('--node <name>', 'the node that does it, of those under .parley').conflicts('dataDir'))
    .option('--data-dir <dir>', 'its data directory')

/** How a command comes into the mesh. */
export const addJoinOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--join <addr...>', 'members to join by (default: the nodes that run here)').conflicts([
        'node',
        'dataDir',
      ]),
    )
    .addOption(new Option('--node <name>', 'by this node, of those under .parley').conflicts('dataDir'))
    .option('--data-dir <dir>', 'by the node with this data directory')
    .option('--config <file>', 'configuration with the secret and members (default: parley.yaml of this folder)')
    .option('--mesh <name>', 'name of the mesh (default: that of the running node, else of the configuration)')
    .option('--secret-file <file...>', 'file with the secret of the mesh, mode 0600; new and old while it is changed')
    .option('--allow-weak-secret', 'accept a short or written secret beyond this machine')
