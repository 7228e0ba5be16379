/**
 * The first import of every entry: an older Node would fail later, in whatever part first needs what it does not have,
 * and say nothing that helps. `cli/bin.js` says the same in a form for people.
 */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18))
  throw new Error(`parley-mesh needs Node 22.18 or newer and this is Node ${process.versions.node}`)

export {}
