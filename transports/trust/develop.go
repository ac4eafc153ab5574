package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// EnvDevelopment names the folder of the certificate authority for development. The default is the user's cache folder.
const EnvDevelopment = "STELLA_DEV_CERTS"

// Files of an authority's folder.
const (
	fileCA    = "ca.pem"
	fileCAKey = "ca.key" // the key, and the certificate with it
)

const (
	lifeCA   = 10 * 365 * 24 * time.Hour
	lifeLeaf = 365 * 24 * time.Hour
	renewCA  = 30 * 24 * time.Hour // how long before its end an authority is made anew
	skew     = time.Hour           // by which clocks may differ
)

// Folder is where the authority for development is kept.
func Folder() (string, error) {
	if dir := os.Getenv(EnvDevelopment); dir != "" {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the development authority, name one by %s: %w", EnvDevelopment, err)
	}
	return filepath.Join(cache, "stella", "certs"), nil
}

// Authority signs certificates for development. It is not for anything else: its key lies in a file.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// readDevelopmentCA returns the certificate of the authority for development, or nil where there is none.
func readDevelopmentCA() (*x509.Certificate, error) {
	dir, err := Folder()
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // then there is none
	}
	text, err := os.ReadFile(filepath.Join(dir, fileCA)) //nolint:gosec // the folder is configuration
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil //nolint:nilnil // there is none for this user
	}
	if err != nil {
		return nil, fmt.Errorf("trust: the development authority: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("trust: the development authority: %s has no certificate in PEM", filepath.Join(dir, fileCA))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("trust: the development authority: %s: %w", filepath.Join(dir, fileCA), err)
	}
	return cert, nil
}

// OpenAuthority returns the authority that a folder keeps, and makes one where there is none, or where it ends soon.
// Processes that do so at the same time get the same one.
func OpenAuthority(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	name := filepath.Join(dir, fileCAKey)
	a, err := readAuthority(name)
	if err == nil && time.Until(a.cert.NotAfter) < renewCA {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("trust: %w", err)
		}
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeAuthority(name); err != nil {
			return nil, err
		}
		a, err = readAuthority(name)
	}
	if err != nil {
		return nil, err
	}
	return a, replace(filepath.Join(dir, fileCA), pemOf("CERTIFICATE", a.cert.Raw), 0o644)
}

func readAuthority(name string) (*Authority, error) {
	text, err := os.ReadFile(name) //nolint:gosec // as above
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("trust: %s: %w", name, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("trust: %s is not an authority that this command has made", name)
	}
	return &Authority{pair.Leaf, key}, nil
}

// makeAuthority makes the file of a new authority, unless somebody else was faster.
func makeAuthority(name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("trust: %w", err)
	}
	now := time.Now()
	host, _ := os.Hostname() // for people only
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Stella development on " + host, Organization: []string{"Stella Router"}},
		NotBefore: now.Add(-skew), NotAfter: now.Add(lifeCA),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("trust: %w", err)
	}
	text, err := pemPair(cert, key)
	if err != nil {
		return err
	}
	temp, err := temporary(name, text, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp) }() // its other name stays
	if err := os.Link(temp, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("trust: %w", err)
	}
	return nil
}

// Issue signs a certificate for names, hosts or addresses, that is good for servers and clients. It returns it in PEM,
// with the authority's beside it, and its key.
func (a *Authority) Issue(names ...string) (cert, key []byte, err error) {
	return a.IssueFor(time.Now().Add(lifeLeaf), names...)
}

// IssueFor is Issue, with the time when the certificate's ends.
func (a *Authority) IssueFor(end time.Time, names ...string) (cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("trust: %w", err)
	}
	begin := time.Now().Add(-skew)
	if end.Before(begin) {
		begin = end.Add(-skew)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]}, NotBefore: begin, NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, &k.PublicKey, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("trust: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("trust: %w", err)
	}
	return slices.Concat(pemOf("CERTIFICATE", raw), pemOf("CERTIFICATE", a.cert.Raw)), pemOf("PRIVATE KEY", der), nil
}

// IssueFiles issues a certificate into a folder, as NAME.pem and NAME.key, and returns their paths.
func (a *Authority) IssueFiles(dir, base string, names ...string) (certFile, keyFile string, err error) {
	cert, key, err := a.Issue(names...)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, base+".pem"), filepath.Join(dir, base+".key")
	if err := replace(keyFile, key, 0o600); err != nil {
		return "", "", err
	}
	return certFile, keyFile, replace(certFile, cert, 0o644)
}

// development returns a certificate for a listener on this machine's loopback addresses, signed by the authority that
// services here look for.
func development(host string) (*tls.Certificate, error) {
	dir, err := Folder()
	if err != nil {
		return nil, err
	}
	a, err := OpenAuthority(dir)
	if err != nil {
		return nil, err
	}
	names := []string{"localhost", "127.0.0.1", "::1"}
	if !slices.Contains(names, host) {
		names = append(names, host)
	}
	cert, key, err := a.Issue(names...)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	return &pair, nil
}

func serial() *big.Int {
	const bits = 120 // RFC 5280 section 4.1.2.2 allows 20 octets
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return n
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pemPair(cert []byte, key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	return bytes.Join([][]byte{pemOf("CERTIFICATE", cert), pemOf("PRIVATE KEY", der)}, nil), nil
}

// temporary writes a new file beside name.
func temporary(name string, text []byte, mode fs.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return "", fmt.Errorf("trust: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("trust: %w", err)
	}
	return f.Name(), nil
}

// replace writes a file whole or not at all.
func replace(name string, text []byte, mode fs.FileMode) error {
	temp, err := temporary(name, text, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, name); err != nil {
		return fmt.Errorf("trust: %w", err)
	}
	return nil
}
