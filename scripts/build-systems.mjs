// Makes out/systems/systems.json, the table of operating systems, from the XML files of osinfo-db (Debian package `osinfo-db`; its format is described by
// the RELAX NG schema that comes with it, schema/osinfo.rng). The table has what Hypervue asks: names, media ids, resources, buses, firmware.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sax from 'sax';
import { osinfoFolders, root } from './setup.mjs';

/** An element tree: `{ name, attributes, children, text }`; translations (`xml:lang`) are left out. */
export function parseXml(xml) {
  const parser = sax.parser(true, { trim: true });
  const top = { name: '', attributes: {}, children: [], text: '' };
  const stack = [top];
  parser.onopentag = ({ name, attributes }) => {
    const element = { name, attributes, children: [], text: '' };
    if (!('xml:lang' in attributes)) stack.at(-1).children.push(element);
    stack.push(element);
  };
  parser.ontext = (text) => (stack.at(-1).text += text);
  parser.onclosetag = () => stack.pop();
  parser.onerror = (error) => {
    throw error;
  };
  parser.write(xml).close();
  return top;
}

const all = (element, name) => element.children.filter((child) => child.name === name);
const text = (element, name) => all(element, name)[0]?.text ?? '';

/** Our word for a processor of osinfo, '' for those no PC has. */
const architecture = (name) => ({ x86_64: 'x86_64', i686: 'i386', i386: 'i386', all: 'all' })[name] ?? '';

/** The PCI id under which osinfo lists a system's driver of virtio-blk 1.0. */
const virtioBlock = /\/pci\/1af4\/1042$/;

/** One table from the `<os>` elements of all files, newest release first. */
export function systemsTable(documents) {
  // Additions to a system lie in files of their own, which repeat its id.
  const byId = new Map();
  for (const document of documents)
    for (const database of all(document, 'libosinfo'))
      for (const os of all(database, 'os')) byId.set(os.attributes.id, [...(byId.get(os.attributes.id) ?? []), os]);
  const parts = (id) => byId.get(id);
  const field = (id, name) =>
    parts(id)
      .map((os) => text(os, name))
      .find((value) => value !== '') ?? '';
  /** The system and those it derives from or clones, nearest first. */
  const lineage = (id, seen = new Set()) => {
    if (seen.has(id) || !byId.has(id)) return [];
    seen.add(id);
    const parents = parts(id).flatMap((os) => [...all(os, 'clones'), ...all(os, 'derives-from')]);
    return [id, ...parents.flatMap((parent) => lineage(parent.attributes.id, seen))];
  };
  const devices = (id) =>
    new Set(
      lineage(id).flatMap((one) =>
        parts(one).flatMap((os) => all(os, 'devices').flatMap((list) => all(list, 'device').map((d) => d.attributes.id))),
      ),
    );
  const resources = (id, kind) => {
    for (const one of lineage(id))
      for (const os of parts(one)) {
        const lists = all(os, 'resources').flatMap((list) =>
          all(list, kind).map((element) => [architecture(list.attributes.arch), element]),
        );
        const found = ['x86_64', 'all', 'i386'].map((arch) => lists.find(([of]) => of === arch)).find(Boolean)?.[1];
        if (found) return numbers(found);
      }
    return undefined;
  };
  const numbers = (element) => {
    const out = {};
    const take = (key, name) => {
      const value = Number(text(element, name));
      if (Number.isFinite(value) && value > 0) out[key] = value;
    };
    take('memoryBytes', 'ram');
    take('diskBytes', 'storage');
    take('cpus', 'n-cpus');
    return out;
  };
  // What a system inherits as recommended may be less than what it needs itself.
  const atLeast = (least, wanted) =>
    wanted && Object.fromEntries(Object.entries(wanted).map(([key, value]) => [key, Math.max(value, least?.[key] ?? 0)]));
  const table = [];
  for (const id of byId.keys()) {
    if (field(id, 'short-id') === '') continue;
    const media = parts(id)
      .flatMap((part) => all(part, 'media'))
      .map((medium) => ({
        arch: architecture(medium.attributes.arch),
        live: medium.attributes.live === 'true',
        iso: all(medium, 'iso')[0],
      }))
      .filter((medium) => medium.arch !== '')
      .map(({ arch, live, iso }) => ({
        arch,
        ...(live ? { live } : {}),
        ...Object.fromEntries(
          ['volume-id', 'system-id', 'publisher-id', 'application-id', 'volume-size']
            .map((name) => [name.replace(/-./, (dash) => dash[1].toUpperCase()), iso ? text(iso, name) : ''])
            .filter(([, value]) => value !== ''),
        ),
      }));
    // What exists for other processors only can't run here.
    const trees = parts(id).flatMap((part) => all(part, 'tree'));
    const known = [...parts(id).flatMap((part) => all(part, 'media')), ...trees];
    if (known.length && !known.some((one) => architecture(one.attributes.arch) !== '')) continue;
    const drivers = [...devices(id)];
    const firmware = parts(id).flatMap((part) => all(part, 'firmware').filter((one) => ['x86_64', 'i686'].includes(one.attributes.arch)));
    const has = (type, supported) =>
      firmware.some((one) => one.attributes.type === type && (one.attributes.supported !== 'false') === supported);
    const minimum = resources(id, 'minimum');
    table.push({
      id: field(id, 'short-id'),
      name: field(id, 'name'),
      family: field(id, 'family'),
      distro: field(id, 'distro'),
      version: field(id, 'version'),
      released: field(id, 'release-date'),
      endOfLife: field(id, 'eol-date'),
      virtio: drivers.some((device) => virtioBlock.test(device)),
      uefiOnly: has('efi', true) && has('bios', false),
      minimum,
      recommended: atLeast(minimum, resources(id, 'recommended')),
      media,
      trees: trees
        .filter((tree) => architecture(tree.attributes.arch) !== '')
        .map((tree) => {
          const info = all(tree, 'treeinfo')[0];
          return {
            arch: architecture(tree.attributes.arch),
            family: info ? text(info, 'family') : '',
            version: info ? text(info, 'version') : '',
          };
        })
        .filter((tree) => tree.family !== ''),
    });
  }
  // Names of equal date in the order of the alphabet, so that the same database makes the same table.
  return table.sort((a, b) => b.released.localeCompare(a.released) || a.id.localeCompare(b.id));
}

function* xmlFiles(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => a.name.localeCompare(b.name)))
    if (entry.isDirectory()) yield* xmlFiles(path.join(folder, entry.name));
    else if (entry.name.endsWith('.xml')) yield path.join(folder, entry.name);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const database = osinfoFolders.map((folder) => path.join(folder, 'os')).find((folder) => existsSync(folder));
  if (!database) {
    console.error(`no osinfo database in ${osinfoFolders.join(', ')}`);
    process.exit(1);
  }
  const table = systemsTable([...xmlFiles(database)].map((file) => parseXml(readFileSync(file, 'utf8'))));
  const target = path.join(root, 'out', 'systems', 'systems.json');
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(`${target}.new`, JSON.stringify(table));
  renameSync(`${target}.new`, target);
  console.log(`${table.length} systems`);
}
