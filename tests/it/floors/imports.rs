//! Reads `src/` and says which file uses what of which other one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// The segments of a path from the crate's root.
pub(super) type Segments = Vec<String>;

/// A module: a file, or a `mod name { … }` in one.
#[derive(Debug, Default)]
struct Module {
    /// The file, from `src/` on.
    file: String,
    /// Whether it is there in tests only.
    test: bool,
    /// What `use` brings into it: the name, and the path as it is written.
    bindings: BTreeMap<String, Segments>,
    /// Those of them that others may import from here.
    passed_on: BTreeSet<String>,
    /// What its code names, as it is written.
    named: Vec<Named>,
    /// Names that its code uses without a path.
    bare: BTreeSet<String>,
}

#[derive(Debug)]
struct Named {
    path: Segments,
    test: bool,
    /// The name under which a `pub use` passes it on.
    passed_on_as: Option<String>,
}

/// One use of another module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    /// The file that uses it.
    pub(super) file: String,
    /// The module of that file.
    pub(super) from: Segments,
    /// The module where what it uses is written down.
    pub(super) to: Segments,
    /// The file of that module.
    pub(super) to_file: String,
    /// What it is; none for the module itself.
    pub(super) item: Option<String>,
    /// Whether only tests use it.
    pub(super) test: bool,
}

/// All modules of the crate by their path.
#[derive(Debug, Default)]
pub(super) struct Source(BTreeMap<Segments, Module>);

impl Source {
    /// Reads the crate whose root is `src/lib.rs`, and every module that it declares.
    pub(super) fn read(src: &Path) -> Self {
        let mut source = Self::default();
        source.file(src, "lib.rs".into(), Vec::new(), false);
        source
    }

    fn file(&mut self, src: &Path, file: PathBuf, path: Segments, test: bool) {
        let text = std::fs::read_to_string(src.join(&file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let folder = match file.file_name().and_then(|name| name.to_str()) {
            Some("mod.rs" | "lib.rs") => file.parent().unwrap_or(Path::new("")).to_owned(),
            _ => file.with_extension(""),
        };
        let file = file.to_str().unwrap().to_owned();
        let mut reader = Reader { modules: BTreeMap::new(), files: Vec::new(), file, path, test };
        reader.begin();
        reader.visit_file(&parsed);
        let Reader { modules, files, .. } = reader;
        self.0.extend(modules);
        for (child, test) in files {
            let name = child.last().unwrap();
            let flat = folder.join(format!("{name}.rs"));
            let file = if src.join(&flat).exists() { flat } else { folder.join(name).join("mod.rs") };
            self.file(src, file, child, test);
        }
    }

    /// Every use of one module by another. What a module passes on is used of the module that has it.
    pub(super) fn imports(&self) -> BTreeSet<Import> {
        let mut imports = BTreeSet::new();
        for (from, module) in &self.0 {
            for named in &module.named {
                // Passing something on is no use of it.
                if named.passed_on_as.as_ref().is_some_and(|name| !module.bare.contains(name)) {
                    continue;
                }
                let Some((to, item)) = self.absolute(from, &named.path).map(|path| self.locate(path)) else { continue };
                let to_file = self.0[&to].file.clone();
                if to_file != module.file {
                    let (file, test) = (module.file.clone(), module.test || named.test);
                    imports.insert(Import { file, from: from.clone(), to, to_file, item, test });
                }
            }
        }
        imports
    }

    /// A path from the crate's root; none when it leads out of the crate or is a local name.
    fn absolute(&self, from: &Segments, path: &[String]) -> Option<Segments> {
        let (first, rest) = path.split_first()?;
        let under = |base: &[String]| Some(base.iter().chain(rest).cloned().collect());
        match first.as_str() {
            "crate" => under(&[]),
            "self" => under(from),
            "super" => {
                let mut path: Segments = vec!["self".to_owned()];
                path.extend_from_slice(rest);
                self.absolute(&from.split_last()?.1.to_vec(), if rest.first()? == "super" { rest } else { &path })
            }
            name => {
                let child: Segments = from.iter().cloned().chain([name.to_owned()]).collect();
                if self.0.contains_key(&child) {
                    return under(&child);
                }
                let bound = self.0[from].bindings.get(name).filter(|bound| bound[0] != *name)?;
                under(&self.absolute(from, bound)?)
            }
        }
    }

    /// The module where the thing at an absolute path is written down, and the thing's name.
    fn locate(&self, path: Segments) -> (Segments, Option<String>) {
        let mut module = Segments::new();
        let mut rest = path.iter();
        while let Some(name) = rest.next() {
            let child: Segments = module.iter().chain([name]).cloned().collect();
            if self.0.contains_key(&child) {
                module = child;
                continue;
            }
            let here = &self.0[&module];
            let passed_on =
                here.passed_on.contains(name).then(|| self.absolute(&module, &here.bindings[name])).flatten();
            return match passed_on {
                Some(mut whole) => {
                    whole.extend(rest.cloned());
                    self.locate(whole)
                }
                None => (module, Some(name.clone())),
            };
        }
        (module, None)
    }
}

/// Goes through one file.
struct Reader {
    modules: BTreeMap<Segments, Module>,
    /// The modules that it declares and that are files of their own, and whether they are for tests.
    files: Vec<(Segments, bool)>,
    file: String,
    path: Segments,
    test: bool,
}

impl Reader {
    fn begin(&mut self) {
        let module = Module { file: self.file.clone(), test: self.test, ..Module::default() };
        self.modules.insert(self.path.clone(), module);
    }

    fn here(&mut self) -> &mut Module {
        self.modules.get_mut(&self.path).unwrap()
    }

    fn name(&mut self, path: Segments, passed_on_as: Option<String>) {
        let test = self.test;
        self.here().named.push(Named { path, test, passed_on_as });
    }

    fn leaves(tree: &syn::UseTree, before: &Segments, leaf: &mut impl FnMut(Segments, Option<String>)) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Segments>();
        match tree {
            syn::UseTree::Path(path) => Self::leaves(&path.tree, &with(&path.ident), leaf),
            syn::UseTree::Name(name) if name.ident == "self" => leaf(before.clone(), before.last().cloned()),
            syn::UseTree::Name(name) => leaf(with(&name.ident), Some(name.ident.to_string())),
            syn::UseTree::Rename(name) => leaf(with(&name.ident), Some(name.rename.to_string())),
            syn::UseTree::Glob(_) => leaf(before.iter().cloned().chain(["*".to_owned()]).collect(), None),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| Self::leaves(tree, before, leaf)),
        }
    }

    /// Runs `inside` as for tests only when the attributes say so.
    fn attributed(&mut self, attributes: &[syn::Attribute], inside: impl FnOnce(&mut Self)) {
        let before = self.test;
        let test = |attribute: &syn::Attribute| match &attribute.meta {
            syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
            meta => meta.path().is_ident("test"),
        };
        self.test |= attributes.iter().any(test);
        inside(self);
        self.test = before;
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.attributed(&item.attrs, |reader| {
            reader.path.push(item.ident.to_string());
            match &item.content {
                None => reader.files.push((reader.path.clone(), reader.test)),
                Some(_) => {
                    reader.begin();
                    visit::visit_item_mod(reader, item);
                }
            }
            reader.path.pop();
        });
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.attributed(&item.attrs, |reader| {
            let passes_on = !matches!(item.vis, syn::Visibility::Inherited);
            Self::leaves(&item.tree, &Vec::new(), &mut |path, bound| {
                if let Some(name) = &bound {
                    reader.here().bindings.insert(name.clone(), path.clone());
                    if passes_on {
                        reader.here().passed_on.insert(name.clone());
                    }
                }
                reader.name(path, bound.filter(|_| passes_on));
            });
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.attributed(&item.attrs, |reader| visit::visit_item_fn(reader, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.attributed(&item.attrs, |reader| visit::visit_item_impl(reader, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.attributed(&item.attrs, |reader| visit::visit_impl_item_fn(reader, item));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.here().bare.insert(segments[0].clone());
        if segments.len() > 1 && path.leading_colon.is_none() {
            self.name(segments, None);
        }
        visit::visit_path(self, path);
    }

    /// What stands in a macro is no syntax yet: every run of names and `::` counts as a path.
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let text = item.tokens.to_string();
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        for path in text.replace(" :: ", "::").split(|c: char| !is_name(c) && c != ':') {
            let segments: Segments = path.split("::").map(str::to_owned).collect();
            if segments.iter().all(|name| name.starts_with(|c: char| is_name(c) && !c.is_numeric())) {
                self.here().bare.insert(segments[0].clone());
                if segments.len() > 1 {
                    self.name(segments, None);
                }
            }
        }
        visit::visit_macro(self, item);
    }
}
